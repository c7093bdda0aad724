# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # the variables are those of lib.sh
#
# The flavour "kdir": a kernel that the caller has built, of which $PINSEAL_KDIR is the build
# folder and $PINSEAL_IMAGE, if set, the image. To be sourced by lib.sh.

[ -z "${PINSEAL_KDIR-}" ] || PINSEAL_KDIR=$(realpath -m "$PINSEAL_KDIR")

# kdir_setting NAME: the value of an option, without quotes; "" if it is off.
kdir_setting() {
	sed -n "s/^$1=\"*\([^\"]*\)\"*$/\1/p" "$PINSEAL_KDIR/include/config/auto.conf"
}

# What flavour() sets.
kdir_flavour() {
	[ -n "${PINSEAL_KDIR-}" ] || die "the flavour kdir needs KDIR="
	"$PINSEAL_SRC/scripts/doctor" --folder "$PINSEAL_KDIR" || exit
	FLAVOUR=kdir KERNEL_NAME=kdir CONFIGURATION=kdir PARAMETERS='' FRAGMENTS=()
	# The test programs are built with the source of this series.
	SERIES=7.3
	if [ "$(kdir_setting CONFIG_X86_64)" = y ]; then
		ARCH=x86_64 DEB_ARCH=amd64
	elif [ "$(kdir_setting CONFIG_ARM64)" = y ]; then
		ARCH=arm64 DEB_ARCH=arm64
	else
		die "the kernel of $PINSEAL_KDIR is for neither x86_64 nor arm64; there are no guests of other architectures"
	fi
	DEB_FLAVOUR=$DEB_ARCH
}

# Sets the array KDIR_MAKE to a command that runs the kernel's make with the compilers that it was
# built with: the host's, or for a kernel in the cache those of the build root. The array KDIR_ROOT
# enters that, and is empty for the host's; KDIR_INSIDE and KDIR_SRC are the build folder and this
# checkout as the command sees them. Of variables on this project's command line, the kernel's make gets those
# that name tools: O= is another folder here.
kdir_make() {
	local arguments=(ARCH="$ARCH") tool

	[ "$(kdir_setting CONFIG_CC_IS_CLANG)" != y ] || arguments+=(LLVM="${LLVM:-1}")
	case $PINSEAL_KDIR in
	"$PINSEAL_CACHE"/*)
		# A kernel's build folder records its own path.
		[ "$(kdir_setting CONFIG_CC_IS_CLANG)" = y ] ||
			arguments+=(CC="${CROSS_COMPILE}gcc-$GCC_VERSION" HOSTCC="gcc-$GCC_VERSION")
		KDIR_ROOT=(env PINSEAL_KERNEL="${PINSEAL_KDIR%/*}" "$PINSEAL_SRC/scripts/in-root")
		KDIR_INSIDE=/kernel/${PINSEAL_KDIR##*/} KDIR_SRC=/pinseal
		arguments+=(CROSS_COMPILE="$CROSS_COMPILE")
		;;
	*)
		KDIR_ROOT=() KDIR_INSIDE=$PINSEAL_KDIR KDIR_SRC=$PINSEAL_SRC
		native || arguments+=(CROSS_COMPILE="$CROSS_COMPILE")
		for tool in RUSTC BINDGEN CC; do
			[ -z "${!tool-}" ] || arguments+=("$tool=${!tool}")
		done
		;;
	esac
	KDIR_MAKE=("${KDIR_ROOT[@]}" env -u MAKEFLAGS -u MAKEOVERRIDES
		make -j"$(nproc)" -C "$KDIR_INSIDE" "${arguments[@]}")
}

# kdir_check: if the module cannot be built for the kernel, says why in one line, before anything
# else is done. A kernel in the cache is built with the build root's compilers, and checked by
# build-module.
kdir_check() {
	kernel kdir
	[ "$MODULE" = none ] || [[ $PINSEAL_KDIR = "$PINSEAL_CACHE"/* ]] ||
		"$PINSEAL_SRC/scripts/doctor" --build "$PINSEAL_KDIR"
}
