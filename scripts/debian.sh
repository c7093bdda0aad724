# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debian systems other than the build root, for packages: one to build them in, one to install
# them into. To be sourced after lib.sh.

# The system that packages are built in.
builder_dir() {
	printf '%s/builder-%s\n' "$PINSEAL_CACHE" "$(key "$SUITE" "$(uname -m)" \
		"$PINSEAL_SRC/scripts/setup-debian" "$PINSEAL_SRC/packaging/builder-packages")"
}

# The flavour whose kernel is as the current one's, but of an older series, if there is one.
older_flavour() {
	awk -v kernel="$ARCH $DEB_ARCH $DEB_FLAVOUR $CONFIGURATION" -v series="$SERIES" '
		function number(series, parts) { split(series, parts, "."); return 1000 * parts[1] + parts[2] }
		/^#/ || NF != 6 { next }
		$2 " " $3 " " $5 " " $6 == kernel && number($4) < number(series) { print $1; exit }
	' "$PINSEAL_SRC/qemu/flavours"
}

# "SERIES VERSION RELEASE" of the kernel from which the current flavour's guests are upgraded to theirs, if
# there is one.
old_kernel() {
	local older

	older=$(older_flavour)
	[ -z "$older" ] || (kernel "$older" && echo "$SERIES $VERSION $RELEASE")
}

# The system that the current flavour's guests have, with its kernel, and where programs run here, the one
# before it.
debian_dir() {
	local made_of=("$SUITE" "$KERNEL_SUITE" "$VERSION")

	if native; then
		made_of+=("$(old_kernel)" "$PINSEAL_SRC/scripts/setup-debian" "$PINSEAL_SRC/packaging/guest-packages")
	else
		made_of+=("$GCC_VERSION" "$PINSEAL_SRC/scripts/setup-foreign-debian"
			"$PINSEAL_SRC/packaging/foreign-packages")
	fi
	printf '%s/debian-%s-%s\n' "$PINSEAL_CACHE" "$KERNEL_NAME" "$(key "${made_of[@]}")"
}

# kernels_preferences FILE: writes apt's preference for the suite of the current flavour's kernel: what belongs
# to kernels alone comes from there.
kernels_preferences() {
	printf '%s\n' 'Package: linux-*' "Pin: release n=$KERNEL_SUITE" 'Pin-Priority: 500' >"$1"
}

# plan_packages FLAVOUR...: what has to be done for the packages. To be used with steps.sh.
plan_packages() {
	local flavour

	plan_kernels "$@"
	[ -d "$(builder_dir)" ] || plan "Debian $SUITE with debhelper and lintian, for packages" setup-debian builder "$1"
	for flavour; do
		plan "module for $flavour" build-module "$flavour"
		plan_tools "$flavour"
		plan "packages for $flavour" build-deb "$flavour"
	done
}
