# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shows a person what is being done and how long it takes. To be sourced after
# lib.sh.
#
# A run plans its steps first, so that they can be counted, and then takes them:
#
#   plan "build root (compilers, rustc, QEMU)" setup-root
#   take_steps

STEP_TITLES=()
STEP_COMMANDS=()

# plan TITLE SCRIPT [ARGUMENT...]
plan() {
	STEP_TITLES+=("$1")
	shift
	STEP_COMMANDS+=("$*")
}

# Counts the seconds on a terminal while a step runs.
heartbeat() {
	local title=$1 start=$SECONDS

	while sleep 1; do
		[ $((SECONDS - start)) -lt 3 ] || printf '\r%s %d s ' "$title" $((SECONDS - start))
	done
}

step() {
	local title=$1 command log beat='' start=$SECONDS status=0

	shift
	read -ra command <<<"$*"
	set -- "${command[@]}"
	log=$PINSEAL_CACHE/log/$(key "$PINSEAL_SRC")-$1${2:+-$2}.log
	printf '%s ... ' "$title"
	if [ -t 1 ]; then
		heartbeat "$title ..." &
		beat=$!
	fi
	"$PINSEAL_SRC/scripts/$1" "${@:2}" >"$log" 2>&1 </dev/null || status=$?
	if [ -n "$beat" ]; then
		kill $beat
		wait $beat 2>/dev/null || true
		printf '\r%s ... ' "$title"
	fi
	if [ $status = 0 ]; then
		printf '%d s\n' $((SECONDS - start))
		return
	fi
	printf 'FAILED after %d s\n' $((SECONDS - start))
	tail -n 40 "$log" | sed 's/^/    /'
	echo "The whole log: $log"
	echo "To run just this step again: PINSEAL_CACHE=$PINSEAL_CACHE $PINSEAL_SRC/scripts/$*"
	exit 1
}

take_steps() {
	local i n=${#STEP_TITLES[@]}

	for ((i = 0; i < n; i++)); do
		step "[$((i + 1))/$n] ${STEP_TITLES[i]}" "${STEP_COMMANDS[i]}"
	done
	STEP_TITLES=()
	STEP_COMMANDS=()
}

# plan_kernels FLAVOUR...: what modules and guests for these kernels need, as far
# as it is not there yet.
plan_kernels() {
	local flavour planned=' '

	[ -d "$(root_dir)" ] || plan "build root: Debian $SUITE with compilers, rustc, QEMU" setup-root
	for flavour; do
		kernel "$flavour"
		[ -d "$ARCHIVE_DIR" ] || plan "finding the stock kernel $SERIES for $flavour" setup-archive "$flavour"
	done
	for flavour; do
		kernel "$flavour"
		[ -d "${SOURCE_DIR:-/none}" ] || [[ $planned = *" $SERIES "* ]] ||
			plan "kernel source $SERIES" setup-source "$flavour"
		planned+="$SERIES "
	done
	for flavour; do
		kernel "$flavour"
		[ ! -d "${KERNEL_DIR:-/none}" ] || continue
		if [ "$CONFIGURATION" = stock ]; then
			plan "kernel $flavour: its image, and Rust metadata to build against" setup-stock-kernel "$flavour"
		else
			plan "kernel $flavour: building it, some 15 minutes" setup-own-kernel "$flavour"
		fi
	done
}

# Says what the run works with.
introduce() {
	say "cache $PINSEAL_CACHE, privileges: $PINSEAL_PRIVILEGE"
}

# Names the kernels that are not the pinned ones.
name_kernels() {
	local flavour pin

	for flavour; do
		kernel "$flavour"
		pin=KERNEL_VERSION_${SERIES//./_}
		[ "$VERSION" = "${!pin}" ] ||
			say "$flavour: the archive no longer has ${!pin}; this is $VERSION"
	done
}

# A new folder for what a run leaves to read: the guests' reports and consoles. Those
# of other days go.
new_run() {
	mkdir -p "$PINSEAL_CACHE/run"
	find "$PINSEAL_CACHE/run" -mindepth 1 -maxdepth 1 -mtime +2 -exec rm -rf {} +
	mktemp -d "$PINSEAL_CACHE/run/$(date +%H%M%S)-XXXX"
}
