# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Common to all scripts: paths, messages, and the cache. To be sourced; it runs nothing.

set -euo pipefail

# A user's PATH may lack the folders of mount and chroot.
PATH=$PATH:/usr/sbin:/sbin

PINSEAL_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PINSEAL_CACHE_NAMED=$([ -n "${PINSEAL_CACHE-}" ] && echo yes || echo no)
PINSEAL_CACHE=${PINSEAL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pinseal}

say() { printf 'pinseal: %s\n' "$*"; }

die() {
	printf 'pinseal: %s\n' "$@" >&2
	exit 1
}

# The cache folder is removed as a whole, so it must hold nothing else. A mark that other
# programs know identifies it. A folder named by $PINSEAL_CACHE must be new, empty or marked.
PINSEAL_CACHE=$(realpath -m "$PINSEAL_CACHE")
[[ $PINSEAL_CACHE != *[[:space:]]* ]] ||
	die "the path of the cache folder has a space: '$PINSEAL_CACHE'; set PINSEAL_CACHE to another folder"
mkdir -p "$PINSEAL_CACHE"
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
. "$PINSEAL_SRC/scripts/kdir.sh"

# Runs the calling script again with the privileges to make and enter the build root, unless
# it has them.
need_root() {
	[ -n "${PINSEAL_PRIVILEGE-}" ] || exec "$PINSEAL_SRC/scripts/with-root" "$0" "$@"
}

# key FILE-OR-TEXT...: a short hash of the content, without the comments of files that are not C.
key() {
	local arg

	for arg; do
		if [[ -f $arg && $arg = *.c ]]; then
			sha256sum <"$arg"
		elif [ -f "$arg" ]; then
			sed '/^[[:space:]]*\(#\|$\)/d' "$arg" | sha256sum
		else
			printf '%s\n' "$arg"
		fi
	done | sha256sum | cut -c1-12
}

# lock NAME: holds a lock until the script ends.
lock() {
	local fd

	exec {fd}>"$PINSEAL_CACHE/lock/$1"
	flock --nonblock "$fd" || {
		say "waiting for another run that works on '$1'"
		# Of a step, the log has the output.
		{ printf "waiting for another run that works on '%s' ... " "$1" >&3; } 2>/dev/null || true
		flock "$fd"
	}
}

# lock_name DIR: the name of the lock for a folder of the cache.
lock_name() {
	local name=${1#"$PINSEAL_CACHE/"}

	echo "${name//\//_}"
}

# publish [--resume] DIR COMMAND...: makes the folder DIR of the cache. COMMAND gets an empty folder
# as one more argument and fills it. DIR appears complete or not at all: an interrupted run leaves a
# folder in tmp/, which the next run for this kind of folder removes; of two runs at once, the second
# waits for the first. With --resume, COMMAND gets what an interrupted run for the same DIR has left,
# if the host has not crashed since, which can lose what was written last.
publish() {
	local resume='' dir kind tmp mark

	if [ "$1" = --resume ]; then
		resume=yes
		shift
	fi
	dir=$PINSEAL_CACHE/$1 kind=${1%-*}
	mark="$1 $(cat /proc/sys/kernel/random/boot_id)"
	shift
	[ ! -d "$dir" ] || return 0
	(
		lock "$kind"
		[ ! -d "$dir" ] || exit 0
		tmp=$PINSEAL_CACHE/tmp/$kind
		if [ -z "$resume" ] || ! grep -qsxF "$mark" "$tmp/mark"; then
			rm -f "$tmp/mark"
			rm -rf "$tmp"
		fi
		mkdir -p "$tmp/new"
		echo "$mark" >"$tmp/mark"
		TMPDIR=$tmp "$@" "$tmp/new"
		sync -f "$tmp"
		mv -T "$tmp/new" "$dir"
		rm -rf "$tmp"
	)
}

# inside PATH: a path of the cache as the build root sees it.
inside() { printf '/cache%s\n' "${1#"$PINSEAL_CACHE"}"; }

# The build root's folder.
root_dir() {
	printf '%s/root-%s\n' "$PINSEAL_CACHE" "$(key "$SUITE" "$GCC_VERSION" "$(uname -m)" \
		"$PINSEAL_SRC/scripts/setup-root" "$PINSEAL_SRC/qemu/packages")"
}

# The folder with the guests' disks.
disks_dir() {
	printf '%s/disks-%s\n' "$PINSEAL_CACHE" "$(key "$(basename "$(root_dir)")" \
		"$PINSEAL_SRC/scripts/setup-disks")"
}

# The folder with fsx for the architecture of the current flavour.
fsx_dir() {
	printf '%s/fsx-%s-%s\n' "$PINSEAL_CACHE" "$ARCH" "$(key "$FSX_VERSION" "$(basename "$(root_dir)")" \
		"$PINSEAL_SRC/scripts/"{setup-fsx,rust.sh} \
		"$PINSEAL_SRC/tools/testing/selftests/pinseal/fsx/wrapped.c")"
}

# The folder with stress-ng for the architecture of the current flavour.
stress_dir() {
	printf '%s/stress-ng-%s-%s\n' "$PINSEAL_CACHE" "$DEB_ARCH" "$(key "$SUITE" \
		"$PINSEAL_SRC/scripts/setup-stress-ng" "$PINSEAL_SRC/qemu/stress-packages")"
}

# The folder with the crates of the Rust programs, for both architectures.
crates_dir() { printf '%s/crates-%s\n' "$PINSEAL_CACHE" "$(key "$PINSEAL_SRC/tools/Cargo.lock")"; }

# The folder with the Python packages that a file of requirements in this checkout names.
python_dir() {
	printf '%s/python-%s\n' "$PINSEAL_CACHE" "$(key "$SUITE" "$(uname -m)" "$PINSEAL_SRC/$1" \
		"$PINSEAL_SRC/scripts/"{setup-python,pip.sh})"
}

# with_python REQUIREMENTS COMMAND...: runs COMMAND in the build root with these packages.
with_python() {
	local requirements=$1

	shift
	"$PINSEAL_SRC/scripts/setup-python" "$requirements" >/dev/null || return
	"$PINSEAL_SRC/scripts/in-root" env "PYTHONPATH=$(inside "$(python_dir "$requirements")")" \
		PYTHONDONTWRITEBYTECODE=1 "$@"
}

# The entries of a list in qemu/.
listed() { sed '/^#/d; /^$/d' "$PINSEAL_SRC/qemu/$1"; }

# base_flavour NAME...: the names in qemu/flavours of those that differ only in how guests are run.
base_flavour() { printf '%s\n' "$@" | sed -E 's/^(vng|crash|count)-//'; }

# flavour NAME: sets variables from its line of qemu/flavours. The guests of vng-NAME have the
# same kernel, and virtme-ng starts them: $VNG is set; those of crash-NAME are killed again and
# again, and in those of count-NAME is counted what is executed: $WATCHER is crash or count.
flavour() {
	local row name

	name=$(base_flavour "$1")

	if [ "$name" = kdir ]; then
		kdir_flavour
	else
		row=$(awk -v name="$name" '$1 == name' "$PINSEAL_SRC/qemu/flavours")
		[ -n "$row" ] || die "no flavour '$name' in qemu/flavours; there are" \
			"$(awk '!/^#/ && NF { print "  " $1 }' "$PINSEAL_SRC/qemu/flavours")"
		read -r FLAVOUR ARCH DEB_ARCH SERIES DEB_FLAVOUR CONFIGURATION PARAMETERS <<<"$row"
		# Flavours that differ only in the parameters share a kernel, named after the first one.
		KERNEL_NAME=$(awk -v kernel="$ARCH $DEB_ARCH $SERIES $DEB_FLAVOUR $CONFIGURATION" \
			'!/^#/ && $2 " " $3 " " $4 " " $5 " " $6 == kernel { print $1; exit }' \
			"$PINSEAL_SRC/qemu/flavours")
	fi
	VNG='' WATCHER=watch
	case $1 in
	vng-*) FLAVOUR=$1 VNG=yes ;;
	crash-* | count-*) FLAVOUR=$1 WATCHER=${1%%-*} ;;
	esac
	case $ARCH in
	x86_64) CROSS_COMPILE=x86_64-linux-gnu- ;;
	arm64) CROSS_COMPILE=aarch64-linux-gnu- ;;
	*) die "qemu/flavours: '$1' has an unknown ARCH '$ARCH'" ;;
	esac
	# The root has a C++ library for its own architecture alone: programs for guests do without.
	CXX="clang++ --target=${CROSS_COMPILE%-} -fno-exceptions -fno-rtti -nostdlib++"
	# What the kernel calls it.
	KERNEL_ARCH=$ARCH
	[ "$CONFIGURATION" != uml ] || KERNEL_ARCH=um
	# The kernel's compilers, as arguments of make. Rust with KASAN needs clang.
	FRAGMENTS=()
	case $CONFIGURATION in
	kdir) TOOLCHAIN=() ;;
	stock | tree* | uml) TOOLCHAIN=(CC="${CROSS_COMPILE}gcc-$GCC_VERSION" HOSTCC="gcc-$GCC_VERSION") ;;
	*)
		FRAGMENTS=("$PINSEAL_SRC/qemu/config/"{base,"base-$ARCH","$CONFIGURATION"}.config)
		TOOLCHAIN=(LLVM=1)
		;;
	esac
	TOOLCHAIN+=(ARCH="$KERNEL_ARCH" CROSS_COMPILE="$CROSS_COMPILE")
}

# flavours_of [ARCH]: that of $PINSEAL_KDIR, or the flavours in $FLAVOURS, or else the first one of
# each architecture, or of ARCH, with the configuration $KERNEL (by default stock).
flavours_of() {
	if [ -n "${PINSEAL_KDIR-}" ]; then
		echo kdir
		return
	fi
	if [ -n "${FLAVOURS-}" ]; then
		tr -s ' ' '\n' <<<"$FLAVOURS"
		return
	fi
	awk -v arch="${1-}" -v configuration="${KERNEL:-stock}" '/^#/ || !NF { next }
		(arch == "" || $2 == arch) && $6 == configuration && !seen[$2]++ { print $1 }' \
		"$PINSEAL_SRC/qemu/flavours"
}

# Says that no kernel is as $ARCH and $KERNEL want it, and which there are.
die_of_kernels() {
	die "there is no kernel for ARCH=${ARCH-} KERNEL=${KERNEL:-stock}; there are" \
		"$(awk '!/^#/ && NF && !seen[$2 $6]++ { print "  ARCH=" $2 " KERNEL=" $6 }' "$PINSEAL_SRC/qemu/flavours")"
}

# Sets the array flavours to those that the command names.
wanted_flavours() {
	mapfile -t flavours < <(flavours_of "${ARCH-}")
	[ ${#flavours[@]} -gt 0 ] || die_of_kernels
}

# Whether programs of the current flavour run here.
native() { [ "$ARCH" = "$(uname -m | sed s/aarch64/arm64/)" ]; }

# kernel FLAVOUR: sets the kernel's package version and release (uname -r), as setup-archive
# found them; its folders; the folders of this checkout's builds for it, of which that of
# the programs serves all kernels of the same source, and so does that of the source with pinseal in
# it; and MODULE: whether the module is "ours", "its", built with the kernel, or "none", built in.
kernel() {
	local pin

	flavour "$1"
	pin=KERNEL_VERSION_${SERIES//./_}
	[ -n "${!pin-}" ] || die "qemu/versions pins no kernel of the series $SERIES ($pin)"
	ARCHIVE_DIR=$PINSEAL_CACHE/archive-$DEB_FLAVOUR-$(key "${!pin}" "$SERIES" "$KERNEL_SUITE")
	VERSION='' RELEASE='' SOURCE_DIR='' KERNEL_DIR='' WORK_DIR='' PROGRAMS_DIR='' TREE_DIR='' MODULE=ours
	case $CONFIGURATION in
	tree | uml) MODULE=none ;;
	tree-m) MODULE=its ;;
	kdir) [ "$(kdir_setting CONFIG_PINSEAL)" != y ] || MODULE=none ;;
	esac
	[ -d "$ARCHIVE_DIR" ] || return 0
	read -r VERSION RELEASE <"$ARCHIVE_DIR/kernel"
	[ "$CONFIGURATION" = stock ] || RELEASE=${VERSION%%-*}-pinseal-$CONFIGURATION
	SOURCE_DIR=$PINSEAL_CACHE/source-$SERIES-$(key "$VERSION" "$PINSEAL_SRC/scripts/setup-source")
	PROGRAMS_DIR=$PINSEAL_CACHE/work-$(key "$PINSEAL_SRC")/programs-$ARCH-${SOURCE_DIR##*/}
	TREE_DIR=${PROGRAMS_DIR%/*}/tree-$ARCH-${SOURCE_DIR##*/}
	case $CONFIGURATION in
	tree) KERNEL_DIR=$TREE_DIR ;;
	tree-m) KERNEL_DIR=$TREE_DIR/m ;;
	uml) KERNEL_DIR=$TREE_DIR/uml ;;
	kdir)
		KERNEL_DIR=${PROGRAMS_DIR%/*}/kernel-kdir-$(key "$PINSEAL_KDIR")
		RELEASE=$(cat "$PINSEAL_KDIR/include/config/kernel.release")
		;;
	esac
	WORK_DIR=$KERNEL_DIR
	[ -z "$KERNEL_DIR" ] || return 0
	KERNEL_DIR=$PINSEAL_CACHE/kernel-$KERNEL_NAME-$(key "$VERSION" "$RELEASE" \
		"${SOURCE_DIR##*/}" "$(basename "$(root_dir)")" "$(setup_kernel)" "${FRAGMENTS[@]}")
	WORK_DIR=${PROGRAMS_DIR%/*}/${KERNEL_DIR##*/}
}

# The script that makes the kernel folder of the current flavour.
setup_kernel() {
	case $CONFIGURATION in
	tree*) echo "$PINSEAL_SRC/scripts/setup-tree-kernel" ;;
	stock | uml | kdir) echo "$PINSEAL_SRC/scripts/setup-$CONFIGURATION-kernel" ;;
	*) echo "$PINSEAL_SRC/scripts/setup-own-kernel" ;;
	esac
}
