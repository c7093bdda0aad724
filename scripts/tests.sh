# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Which tests there are, and the guests that run them. To be sourced after lib.sh,
# steps.sh and vng.sh.
#
# A run is a folder:
#
#   FLAVOUR/tests		the tests, lines "TEST SECONDS"
#   FLAVOUR/queue		those that no guest has taken yet
#   FLAVOUR/left		those that none took before the time was up
#   FLAVOUR/NUMBER/		a guest's console, report and result
#
# A test is a program and its arguments, if any, separated by colons. Flavours vng-NAME, crash-NAME and
# count-NAME have guests of the kernel of NAME, see lib.sh.

# The tests that the current flavour runs when none are named. Long ones come first, so that
# its guests end at about the same time. $HAMMER adds those of hammer-tests.
tests_of_flavour() {
	local list lists=()

	if [ "$CONFIGURATION" = uml ]; then
		basename -s .c "$PINSEAL_SRC"/tools/testing/selftests/pinseal/*.c |
			grep -vxFf <(listed not-uml-tests)
		return
	fi
	if [ "$CONFIGURATION" != stock ]; then
		lists=(own-kernel-tests)
		[ -z "${HAMMER-}" ] || lists=(hammer-tests own-kernel-tests)
	fi
	for list in "${lists[@]}"; do
		listed "$list"
	done
	if [ -n "$PARAMETERS" ]; then
		listed memory-tests
		return
	fi
	printf '%s\n' rust:pinseal rust:pinsealctl
	basename -s .c "$PINSEAL_SRC"/tools/testing/selftests/pinseal/*.c |
		grep -vxFf <(listed own-kernel-tests)
	# The other guests have no Python.
	[ -z "$VNG" ] || echo python_library
}

# check_tests TEST...: fails if one of them does not exist.
check_tests() {
	local name selftests=$PINSEAL_SRC/tools/testing/selftests/pinseal

	for name in $(programs_of "$@"); do
		[ -e "$selftests/$name.c" ] || [[ $name =~ ^(fuzz|crash)$ ]] ||
			die "there is no test '$name'; there are" \
				"  $(basename -s .c "$selftests"/*.c | paste -sd' ')" \
				"  fuzz python_library rust:pinseal rust:pinsealctl"
	done
}

# The tests in $TEST, or else those of the current flavour.
wanted_tests() {
	local words

	if [ -n "${TEST-}" ]; then
		read -ra words <<<"$TEST"
		check_tests "${words[@]}"
		printf '%s\n' "${words[@]}"
	else
		tests_of_flavour
	fi
}

# programs_of TEST...: the selftests that these tests need. Only pressure runs another one; kselftest and
# python_library are scripts, build-tools builds what the tests rust:PACKAGE need, and count is in tools/.
programs_of() {
	printf '%s\n' "$@" | sed -E '/^(kselftest|python_library|count)(:|$)/d; /^rust:/d; s/^pressure:(\w+).*/pressure\n\1/; t; s/:.*//' | sort -u
}

# The seconds after which a test of the current flavour is killed. Emulated machines are
# slow, debug kernels slower.
test_seconds() {
	local seconds=600

	[ "$CONFIGURATION" = stock ] || seconds=1500
	[ -z "${PINSEAL_TEST_LONG-}" ] || seconds=$((4 * seconds))
	echo "${PINSEAL_TEST_SECONDS:-$seconds}"
}

# queue_tests RUN FLAVOUR: reads tests and queues them. When there is a time to begin them in, in an
# order of chance: many runs begin each.
queue_tests() {
	local dir=$1/$2 order=cat

	flavour "$2"
	mkdir -p "$dir"
	[ -z "${PINSEAL_MINUTES-}" ] || order=shuf
	$order | sed "s/\$/ $(test_seconds)/" >"$dir/tests"
	cp "$dir/tests" "$dir/queue"
}

# plan_guests RUN FLAVOUR...: what has to be built before run_guests.
plan_guests() {
	local run=$1 flavour bases

	shift
	# Two that differ only in who starts the guest need one kernel, and the same programs.
	mapfile -t bases < <(base_flavour "$@" | awk '!seen[$0]++')
	plan_kernels "${bases[@]}"
	for flavour in "${bases[@]}"; do
		kernel "$flavour"
		[ "$MODULE" != ours ] || plan "module for $flavour" build-module "$flavour"
		# shellcheck disable=SC2086 # these are words
		plan "test programs for $flavour" build-programs "$flavour" tests ${TEST-}
	done
	for flavour; do
		grep -q '^rust:' "$run/$flavour/tests" || continue
		plan_tools "$(base_flavour "$flavour")"
	done
	for flavour; do
		grep -q '^judge_fsx ' "$run/$flavour/tests" || continue
		flavour "$flavour"
		[ -d "$(fsx_dir)" ] || [[ " ${STEP_TITLES[*]} " = *"fsx for $ARCH,"* ]] ||
			plan "fsx for $ARCH, from the registry of Rust crates" setup-fsx "$flavour"
	done
	[ -d "$(disks_dir)" ] || plan "disks with file systems for guests" setup-disks
	for flavour; do
		case $flavour in
		count-*)
			plan "programs that count, for ${flavour#count-}" build-programs "$flavour" count
			plan "guest image for $flavour" build-guest "$flavour" count "$run/$flavour"
			;;
		vng-*)
			plan_vng_setup "$flavour"
			! grep -q '^kselftest ' "$run/$flavour/tests" ||
				plan "selftests in a kernel's source, for ${flavour#vng-}" setup-kselftest "${flavour#vng-}"
			plan_vng "guest files for $flavour" build-guest "$flavour" tests "$run/$flavour"
			;;
		*)
			plan "guest image for $flavour" build-guest "$flavour" tests "$run/$flavour"
			;;
		esac
	done
}

# How many guests run at once; how many queued tests for each are worth another guest of the
# same kernel; how many guests of a kernel may fail before its remaining tests are given up.
GUESTS=${PINSEAL_GUESTS:-$(nproc)}
WORTH_A_GUEST=8
MOST_FAILED=5

# By kernel: the guests that run, and that have failed. By process: the guest's folder.
declare -A running=() failed=() folder_of=()

# leave_tests_after SECONDS RUN FLAVOUR...: takes the tests from the queues that no guest has taken by then.
leave_tests_after() {
	local run=$2 flavour

	sleep "$1" >/dev/null 2>&1 &
	# shellcheck disable=SC2064 # the process of now
	trap "kill $!; exit" TERM
	wait $!
	for flavour in "${@:3}"; do
		flock "$run/$flavour/queue" sh -c 'cp "$1/queue" "$1/left" && : >"$1/queue"' - "$run/$flavour"
	done
}

# run_guests RUN FLAVOUR...: runs the queued tests; with $PINSEAL_MINUTES, those that begin in this time. The
# guests of a kernel share its queue: a guest that is lost costs the test that it ran, and another guest
# takes the rest.
run_guests() {
	local run=$1 flavour next pid clock=''

	if [ -n "${PINSEAL_MINUTES-}" ]; then
		leave_tests_after $((60 * PINSEAL_MINUTES)) "$@" &
		clock=$!
	fi
	shift
	[ -z "$VNG_LOST" ] || for flavour; do
		[ "$flavour" = "${flavour#vng-}" ] || : >"$run/$flavour/queue"
	done
	while :; do
		next=''
		[ ${#folder_of[@]} -ge "$GUESTS" ] || next=$(next_kernel "$run" "$@")
		if [ -n "$next" ]; then
			start_guest "$run" "$next"
		elif [ ${#folder_of[@]} -gt 0 ]; then
			if wait -n -p pid "${!folder_of[@]}"; then
				end_guest "$pid" 0
			else
				end_guest "$pid" 1
			fi
		else
			break
		fi
	done
	if [ -n "$clock" ]; then
		kill $clock 2>/dev/null || true
		wait $clock || true
	fi
	rm -rf "$run"/*/initramfs "$run"/*/tree
}

# next_kernel RUN FLAVOUR...: the kernel to boot a guest of, if any: one without guests, or
# else the one with the most tests queued for each guest.
next_kernel() {
	local run=$1 flavour left share most=$((WORTH_A_GUEST - 1)) best=''

	shift
	for flavour; do
		left=$(wc -l <"$run/$flavour/queue")
		if [ "$left" = 0 ] || [ "${failed[$flavour]:-0}" -ge $MOST_FAILED ]; then
			continue
		fi
		if [ "${running[$flavour]:-0}" = 0 ]; then
			echo "$flavour"
			return
		fi
		share=$((left / (${running[$flavour]} + 1)))
		if [ $share -gt "$most" ]; then
			most=$share best=$flavour
		fi
	done
	echo "$best"
}

# start_guest RUN FLAVOUR: boots a guest in a folder of its own.
start_guest() {
	local dir=$1/$2 n=1

	while [ -e "$dir/$n" ]; do
		n=$((n + 1))
	done
	mkdir "$dir/$n"
	running[$2]=$((${running[$2]:-0} + 1))
	flavour "$2"
	PINSEAL_SILENCE=$(($(test_seconds) + 60)) \
		"$PINSEAL_SRC/scripts/run-guest" "$2" tests "$dir/$n" test &
	folder_of[$!]=$dir/$n
}

# end_guest PID FAILED: counts a guest that has ended. Without a single test run, another one
# will do no better.
end_guest() {
	local folder=${folder_of[$1]} flavour

	unset "folder_of[$1]"
	flavour=$(basename "${folder%/*}")
	running[$flavour]=$((running[$flavour] - 1))
	failed[$flavour]=$((${failed[$flavour]:-0} + $2))
	[ "$2" = 0 ] || grep -qs '"name"' "$folder/result" || failed[$flavour]=$MOST_FAILED
}

# sum_up RUN [--table] FLAVOUR...: says how it went; succeeds if nothing failed.
sum_up() {
	local run=$1 name settings=()

	shift
	# What changes the outcome of a test: a command that repeats it needs the same.
	for name in PINSEAL_TEST_LONG PINSEAL_TEST_SECONDS PINSEAL_CPUS PINSEAL_ACCEL; do
		[ -z "${!name-}" ] || settings+=(--setting "$name=${!name}")
	done
	"$PINSEAL_SRC/scripts/in-root" python3 -B /pinseal/scripts/guest/summary.py \
		"${settings[@]}" ${PINSEAL_KDIR:+--kdir "$PINSEAL_KDIR"} "$(inside "$run")" /pinseal/qemu/flavours "$@"
}
