# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every script here needs: where things are, messages, and the cache.
# To be sourced; it runs nothing.

set -euo pipefail

# Where mount, chroot and the like are need not be in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

PINSEAL_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PINSEAL_CACHE_NAMED=$([ -n "${PINSEAL_CACHE-}" ] && echo yes || echo no)
PINSEAL_CACHE=${PINSEAL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pinseal}

say() { printf 'pinseal: %s\n' "$*"; }

die() {
	printf 'pinseal: %s\n' "$@" >&2
	exit 1
}

# The cache is a folder of its own, with a mark that other programs know as well:
# nothing else must be lost with it. The default one is ours by its name; one that
# somebody named must be new, empty or marked.
mkdir -p "$PINSEAL_CACHE"
PINSEAL_CACHE=$(cd "$PINSEAL_CACHE" && pwd -P)
export PINSEAL_CACHE
if [ ! -e "$PINSEAL_CACHE/CACHEDIR.TAG" ]; then
	[ "$PINSEAL_CACHE_NAMED" = no ] || [ -z "$(ls -A "$PINSEAL_CACHE")" ] ||
		[ -e "$PINSEAL_CACHE/CACHEDIR.TAG" ] ||
		die "$PINSEAL_CACHE has other things in it, so it cannot be the cache folder." \
			"Set PINSEAL_CACHE to a new or empty folder."
	echo 'Signature: 8a477f597d28d172789f06886806bc55' >"$PINSEAL_CACHE/CACHEDIR.TAG"
fi
mkdir -p "$PINSEAL_CACHE"/{lock,log,tmp}

# shellcheck source=qemu/versions
. "$PINSEAL_SRC/qemu/versions"

# Runs the calling script again with what it needs to make and enter the build
# root, unless it has that already.
need_root() {
	[ -n "${PINSEAL_PRIVILEGE-}" ] || exec "$PINSEAL_SRC/scripts/with-root" "$0" "$@"
}

# key FILE-OR-TEXT...: a short name for the content of all of them, comments aside.
key() {
	local arg

	for arg; do
		if [ -f "$arg" ]; then
			sed '/^[[:space:]]*\(#\|$\)/d' "$arg" | sha256sum
		else
			printf '%s\n' "$arg"
		fi
	done | sha256sum | cut -c1-12
}

# Takes the lock NAME until the script ends.
lock() {
	local fd

	exec {fd}>"$PINSEAL_CACHE/lock/$1"
	flock --nonblock "$fd" || {
		say "waiting for another run that works on '$1'"
		flock "$fd"
	}
}

# The name of a lock for a folder of the cache.
lock_name() {
	local name=${1#"$PINSEAL_CACHE/"}

	echo "${name//\//_}"
}

# publish DIR COMMAND...: makes the folder DIR of the cache by COMMAND, which gets
# the name of an empty folder as one more argument. DIR appears complete or not
# at all: an interrupted run leaves only something in tmp/, which the next run
# for the same kind of folder removes; of two runs, the second waits and finds
# it made.
publish() {
	local dir=$PINSEAL_CACHE/$1 kind=${1%-*} tmp

	shift
	[ ! -d "$dir" ] || return 0
	(
		lock "$kind"
		[ ! -d "$dir" ] || exit 0
		tmp=$PINSEAL_CACHE/tmp/$kind
		rm -rf "$tmp"
		mkdir -p "$tmp/new"
		TMPDIR=$tmp "$@" "$tmp/new"
		sync -f "$tmp"
		mv -T "$tmp/new" "$dir"
		rm -rf "$tmp"
	)
}

# The path inside the build root of a path in the cache.
inside() { printf '/cache%s\n' "${1#"$PINSEAL_CACHE"}"; }

# The build root's folder.
root_dir() {
	printf '%s/root-%s\n' "$PINSEAL_CACHE" "$(key "$SUITE" "$GCC_VERSION" "$(uname -m)" \
		"$PINSEAL_SRC/scripts/setup-root" "$PINSEAL_SRC/qemu/packages")"
}

# flavour NAME: sets what qemu/flavours says about it, and what follows from that.
flavour() {
	local row

	row=$(awk -v name="$1" '$1 == name' "$PINSEAL_SRC/qemu/flavours")
	[ -n "$row" ] || die "no flavour '$1' in qemu/flavours"
	read -r FLAVOUR ARCH DEB_ARCH SERIES DEB_FLAVOUR CONFIGURATION <<<"$row"
	case $ARCH in
	x86_64) CROSS_COMPILE=x86_64-linux-gnu- ;;
	arm64) CROSS_COMPILE=aarch64-linux-gnu- ;;
	*) die "qemu/flavours: '$1' has an unknown ARCH '$ARCH'" ;;
	esac
	# The compilers that the kernel is built with, for make. Rust and KASAN go together
	# with clang only.
	if [ "$CONFIGURATION" = stock ]; then
		FRAGMENTS=()
		TOOLCHAIN=(CC="${CROSS_COMPILE}gcc-$GCC_VERSION" HOSTCC="gcc-$GCC_VERSION")
	else
		FRAGMENTS=("$PINSEAL_SRC/qemu/config/"{base,"base-$ARCH","$CONFIGURATION"}.config)
		TOOLCHAIN=(LLVM=1)
	fi
	TOOLCHAIN+=(ARCH="$ARCH" CROSS_COMPILE="$CROSS_COMPILE")
}

# The flavours to work with: those in $FLAVOURS, or else those with the
# configuration $KERNEL (of the stock ones, the first of each architecture), of the
# given architecture if there is one.
flavours_of() {
	if [ -n "${FLAVOURS-}" ]; then
		tr -s ' ' '\n' <<<"$FLAVOURS"
		return
	fi
	awk -v arch="${1-}" -v configuration="${KERNEL:-stock}" '/^#/ || !NF { next }
		(arch == "" || $2 == arch) && $6 == configuration && !seen[$2]++ { print $1 }' \
		"$PINSEAL_SRC/qemu/flavours"
}

# wanted_flavours: sets the array flavours to those that the caller of make asks for.
wanted_flavours() {
	mapfile -t flavours < <(flavours_of "${ARCH-}")
	[ ${#flavours[@]} -gt 0 ] ||
		die "qemu/flavours has no kernel for ARCH=${ARCH-} KERNEL=${KERNEL:-stock}"
}

# kernel FLAVOUR: sets the kernel's package version and its release (uname -r), as
# setup-archive has found them; the folders made of it; and where this checkout's
# own builds for it go.
kernel() {
	local pin

	flavour "$1"
	pin=KERNEL_VERSION_${SERIES//./_}
	[ -n "${!pin-}" ] || die "qemu/versions pins no kernel of the series $SERIES ($pin)"
	ARCHIVE_DIR=$PINSEAL_CACHE/archive-$DEB_FLAVOUR-$(key "${!pin}" "$SERIES" "$KERNEL_SUITE")
	VERSION='' RELEASE='' SOURCE_DIR='' KERNEL_DIR='' WORK_DIR=''
	[ -d "$ARCHIVE_DIR" ] || return 0
	read -r VERSION RELEASE <"$ARCHIVE_DIR/kernel"
	[ "$CONFIGURATION" = stock ] || RELEASE=${VERSION%%-*}-pinseal-$CONFIGURATION
	SOURCE_DIR=$PINSEAL_CACHE/source-$SERIES-$(key "$VERSION" "$PINSEAL_SRC/scripts/setup-source")
	KERNEL_DIR=$PINSEAL_CACHE/kernel-$FLAVOUR-$(key "$VERSION" "$RELEASE" \
		"${SOURCE_DIR##*/}" "$(basename "$(root_dir)")" "$(setup_kernel)" "${FRAGMENTS[@]}")
	WORK_DIR=$PINSEAL_CACHE/work-$(key "$PINSEAL_SRC")/${KERNEL_DIR##*/}
}

# The script that makes the current flavour's kernel folder.
setup_kernel() {
	if [ "$CONFIGURATION" = stock ]; then
		echo "$PINSEAL_SRC/scripts/setup-stock-kernel"
	else
		echo "$PINSEAL_SRC/scripts/setup-own-kernel"
	fi
}
