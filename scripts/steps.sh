# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shows what is being done and how long it takes. To be sourced after lib.sh.
#
# Steps are planned first, so that they can be counted, and then taken:
#
#   plan "build root (compilers, rustc, QEMU)" setup-root
#   take_steps

STEP_TITLES=()
STEP_COMMANDS=()
# Whether virtme-ng's guests alone need a step, and whether such a step has failed.
STEP_VNG=()
VNG_LOST=''

# plan TITLE SCRIPT [ARGUMENT...]
plan() {
	STEP_TITLES+=("$1")
	shift
	STEP_COMMANDS+=("$*")
	STEP_VNG+=('')
}

# plan_vng TITLE SCRIPT [ARGUMENT...]: a step for virtme-ng's guests. Without it all other guests
# run, and the tests of virtme-ng's have failed.
plan_vng() {
	plan "$@"
	STEP_VNG[-1]=yes
}

# Counts seconds on a terminal while a step runs, and minutes elsewhere.
heartbeat() {
	local title=$1 start=$SECONDS

	# The sleep outlives this loop, and must not keep the output open.
	if [ ! -t 1 ]; then
		while sleep 60 >/dev/null 2>&1; do
			printf '%d s ... ' $((SECONDS - start))
		done
	fi
	while sleep 1 >/dev/null 2>&1; do
		[ $((SECONDS - start)) -lt 3 ] || printf '\r%s %d s ' "$title" $((SECONDS - start))
	done
}

# step TITLE COMMAND [vng]
step() {
	local title=$1 vng=${3-} command log own beat='' start=$SECONDS status=0

	read -ra command <<<"$2"
	set -- "${command[@]}"
	log=$PINSEAL_CACHE/log/$(key "$PINSEAL_SRC")-$1${2:+-$2}.log
	# Another run may take the same step.
	own=$(mktemp "$PINSEAL_CACHE/tmp/log-XXXX")
	printf '%s ... ' "$title"
	heartbeat "$title ..." &
	beat=$!
	# What it has to say while it runs (see lock()) goes to the third descriptor.
	"$PINSEAL_SRC/scripts/$1" "${@:2}" 3>&1 >"$own" 2>&1 </dev/null || status=$?
	cat "$own" >"$log"
	rm "$own"
	kill $beat
	wait $beat 2>/dev/null || true
	[ ! -t 1 ] || printf '\r%s ... ' "$title"
	if [ $status = 0 ]; then
		printf '%d s\n' $((SECONDS - start))
		return
	fi
	printf 'FAILED after %d s\n' $((SECONDS - start))
	tail -n 40 "$log" | sed 's/^/    /'
	if [ -n "$vng" ]; then
		say "going on without virtme-ng's guests; again: PINSEAL_CACHE=$PINSEAL_CACHE $PINSEAL_SRC/scripts/$*"
		VNG_LOST=yes
		return
	fi
	printf '\nFailed:\n  %s\n' "$title"
	echo "    again: PINSEAL_CACHE=$PINSEAL_CACHE $PINSEAL_SRC/scripts/$*"
	echo "    log: $log"
	echo "0 passed, 1 failed"
	exit 1
}

take_steps() {
	local i n=${#STEP_TITLES[@]}

	for ((i = 0; i < n; i++)); do
		[ -z "$VNG_LOST" ] || [ -z "${STEP_VNG[i]}" ] || continue
		step "[$((i + 1))/$n] ${STEP_TITLES[i]}" "${STEP_COMMANDS[i]}" "${STEP_VNG[i]}"
	done
	STEP_TITLES=()
	STEP_COMMANDS=()
	STEP_VNG=()
}

# plan_source FLAVOUR...: what the cache still lacks for the sources of these kernels.
plan_source() {
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
}

# plan_kernels FLAVOUR...: what it lacks for modules and guests of these kernels.
plan_kernels() {
	local flavour

	plan_source "$@"
	for flavour; do
		kernel "$flavour"
		[ ! -d "${KERNEL_DIR:-/none}" ] || [[ "$CONFIGURATION" =~ ^(tree|uml|kdir) ]] || continue
		if [[ $CONFIGURATION = tree* ]]; then
			plan "kernel $flavour: building it with pinseal in its source, half an hour at first" setup-tree-kernel "$flavour"
		elif [ "$CONFIGURATION" = uml ]; then
			plan "kernel $flavour: building it with pinseal in its source, ten minutes at first" setup-uml-kernel "$flavour"
		elif [ "$CONFIGURATION" = kdir ]; then
			plan "kernel of $PINSEAL_KDIR: its image and modules" setup-kdir-kernel "$flavour"
		elif [ "$CONFIGURATION" = stock ]; then
			plan "kernel $flavour: its image, and Rust metadata to build against" setup-stock-kernel "$flavour"
		else
			plan "kernel $flavour: building it, half an hour or more" setup-own-kernel "$flavour"
		fi
	done
}

# plan_tools FLAVOUR: the Rust programs for its guest, and the crates that they need.
plan_tools() {
	[ -d "$(crates_dir)" ] || [[ " ${STEP_COMMANDS[*]} " = *" setup-crates "* ]] ||
		plan "crates of the Rust programs, from their registry" setup-crates
	[[ " ${STEP_COMMANDS[*]} " = *" build-tools $1 "* ]] ||
		plan "Rust programs for $1" build-tools "$1"
}

# Says where the cache is and where privileges come from.
introduce() {
	say "cache $PINSEAL_CACHE, privileges: $PINSEAL_PRIVILEGE"
}

# Names the kernels that are not of the pinned version.
name_kernels() {
	local flavour pin

	for flavour; do
		kernel "$flavour"
		pin=KERNEL_VERSION_${SERIES//./_}
		[ "$VERSION" = "${!pin}" ] ||
			say "$flavour: the archive no longer has ${!pin}; this is $VERSION"
	done
}

# Makes a folder for the results of a run. Those of other days are removed.
new_run() {
	mkdir -p "$PINSEAL_CACHE/run"
	find "$PINSEAL_CACHE/run" -mindepth 1 -maxdepth 1 -mtime +2 -exec rm -rf {} +
	mktemp -d "$PINSEAL_CACHE/run/$(date +%H%M%S)-XXXX"
}
