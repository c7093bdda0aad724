# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Guests that virtme-ng starts: a system of their architecture is their root, and the folder
# that build-guest made is /pinseal. To be sourced after lib.sh and machine.sh.

VNG_DIR=$PINSEAL_CACHE/vng-$(key "$VIRTME_NG_VERSION" "$PINSEAL_SRC/scripts/"{setup-vng,pip.sh})

# The kinds of programs at hand in a shell (see build-programs).
SHELL_PROGRAMS=(tests demo bench examples)

# The root of the current flavour's guests.
vng_root() {
	printf '%s/vng-root-%s-%s\n' "$PINSEAL_CACHE" "$DEB_ARCH" "$(key "$SUITE" \
		"$PINSEAL_SRC/scripts/setup-vng-root" "$PINSEAL_SRC/qemu/vng-packages")"
}

# plan_vng_setup FLAVOUR: what the cache still lacks for its guests, besides the kernel. To be
# used with steps.sh.
plan_vng_setup() {
	[ -d "$VNG_DIR" ] || [[ " ${STEP_COMMANDS[*]} " = *" setup-vng "* ]] ||
		plan_vng "virtme-ng $VIRTME_NG_VERSION, from PyPI" setup-vng
	flavour "$1"
	[ -d "$(vng_root)" ] || [[ " ${STEP_TITLES[*]} " = *" for virtme-ng's $ARCH guests "* ]] ||
		plan_vng "Debian $SUITE as root for virtme-ng's $ARCH guests" setup-vng-root "$1"
}

# vng_command DIR OPTION... -- OPTION...: sets the array command to what starts a guest of the
# current flavour in the build root, after machine() of machine.sh. DIR is the folder with the
# tree of build-guest; options are those of guest/vng.py, and of virtme-run.
#
# 9p, because programs crash at random on virtiofs under TCG; virtme-ng's init in bash, because
# the other one is a binary for one architecture.
vng_command() {
	local dir=$1 root parameter

	root=$(inside "$(vng_root)")
	shift
	command=(env "PYTHONPATH=$(inside "$VNG_DIR")" python3 -B /pinseal/scripts/guest/vng.py
		--kernel /kernel --release "$RELEASE")
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	command+=(-- --arch "${ARCH/arm64/aarch64}" --root "$root" --busybox "$root/usr/bin/busybox"
		--rodir "/pinseal=$dir/tree" --rodir /usr/lib/modules=/kernel/modules/lib/modules
		--force-9p --disable-kvm --disable-microvm --disable-monitor --no-virtme-ng-init
		--name pinseal --memory "$MEMORY" --cpus "$CPUS" "$@")
	for parameter in "${KERNEL_PARAMETERS[@]}"; do
		command+=(--kopt "$parameter")
	done
	# What setup-kselftest has made.
	[ ! -e "$PINSEAL_CACHE${dir#/cache}/tree/tests/kselftest" ] ||
		command+=(--rwdir "/kernel=$(inside "$TREE_DIR")")
	# All that follows is QEMU's.
	command+=(--qemu-opts "${MACHINE[@]}" -no-reboot)
}
