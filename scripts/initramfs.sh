# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What is in initramfs of guests. To be sourced after lib.sh.

# copy_modules DIR NAME...: copies modules of the current flavour's kernel and their dependencies,
# uncompressed, and named in loading order.
copy_modules() {
	local to=$1 paths path n=100 in_root=$PINSEAL_SRC/scripts/in-root

	shift
	paths=$("$in_root" modprobe -d "$(inside "$KERNEL_DIR/modules")" -S "$RELEASE" \
		--show-depends -a "$@")
	mapfile -t paths < <(awk '$1 == "insmod" && !seen[$2]++ { print $2 }' <<<"$paths")
	mkdir -p "$to"
	for path in "${paths[@]}"; do
		"$in_root" sh -c 'case $1 in
			*.xz) xz -dc "$1" ;;
			*.zst) zstd -dcq "$1" ;;
			*) cat "$1" ;;
			esac' - "$path" >"$to/$n-$(basename "$path" | sed 's/\.ko.*/.ko/')"
		n=$((n + 1))
	done
}

# pack_initramfs TREE FILE: makes FILE of the folder TREE, and removes that.
pack_initramfs() {
	"$PINSEAL_SRC/scripts/in-root" sh -c 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0' - "$(inside "$1")" >"$2"
	rm -r "$1"
}
