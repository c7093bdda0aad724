# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The emulated machine of guests, and that of user-mode Linux. To be sourced after lib.sh.

# Sets for the current flavour: QEMU, the program; the array MACHINE, its options; MEMORY; CPUS;
# and the array KERNEL_PARAMETERS, without consoles. User-mode Linux needs no QEMU.
machine() {
	local cpus=${PINSEAL_CPUS:-2}

	KERNEL_PARAMETERS=(loglevel=5 panic=-1 oops=panic)
	if [ "$CONFIGURATION" = uml ]; then
		CPUS=$cpus MEMORY=1G
	else
		emulated_machine "$cpus"
	fi
	# shellcheck disable=SC2206 # these are words
	KERNEL_PARAMETERS+=($PARAMETERS)
	[ -z "${PINSEAL_TEST_LONG-}" ] || KERNEL_PARAMETERS+=("PINSEAL_TEST_LONG=$PINSEAL_TEST_LONG")
}

# Guests run under TCG, the same everywhere; a /dev/kvm that exists need not work.
# PINSEAL_ACCEL=kvm overrides that, but not for virtme-ng.
emulated_machine() {
	local accel=${PINSEAL_ACCEL:-tcg,thread=multi} cpu cpus=$1 disk name limit=

	[ -z "$VNG" ] && native || accel=tcg,thread=multi
	KERNEL_PARAMETERS+=("maxcpus=$cpus")
	case $ARCH in
	x86_64)
		# With five-level page tables, a KASAN kernel that is interrupted while it identifies
		# its CPU reports valid addresses as wild ones.
		cpu=max,la57=off
		[ "${accel%%,*}" != kvm ] || cpu=host
		QEMU=qemu-system-x86_64
		MACHINE=(-machine q35 -cpu "$cpu")
		# On a busy host the kernel takes emulated timers for broken.
		KERNEL_PARAMETERS+=(tsc=reliable no_timer_check)
		;;
	arm64)
		# Emulating the architected pointer authentication is slow.
		cpu=max,pauth-impdef=on
		[ "${accel%%,*}" != kvm ] || cpu=host
		QEMU=qemu-system-aarch64
		MACHINE=(-machine "virt,gic-version=3" -cpu "$cpu")
		;;
	esac
	MACHINE+=(-accel "$accel")
	# In MB/s. Such a disk can be as slow beside the emulated CPU as a real one beside a real CPU.
	[ -z "${PINSEAL_DISK-}" ] || limit=,throttling.bps-total=${PINSEAL_DISK}000000
	# Found by their serial numbers (lib/disk.c of the selftests).
	for disk in "$(disks_dir)"/*; do
		[ -f "$disk" ] || continue
		name=${disk##*/}
		MACHINE+=(-drive "file=$(inside "$disk"),format=raw,if=none,id=$name,snapshot=on$limit"
			-device "virtio-blk-pci,drive=$name,serial=pinseal-$name")
	done
	# One more CPU is offline, for tests that take CPUs away.
	CPUS=$((cpus + 1))

	# KASAN needs memory for its shadow, and its quarantine must not be charged to the small
	# memory cgroups of tests.
	MEMORY=2G
	if [ "$CONFIGURATION" != stock ]; then
		MEMORY=3G
		KERNEL_PARAMETERS+=(cgroup.memory=nokmem)
	fi
}
