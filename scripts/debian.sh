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

# The system that the current flavour's guests have, with its kernel.
debian_dir() {
	printf '%s/debian-%s-%s\n' "$PINSEAL_CACHE" "$KERNEL_NAME" "$(key "$SUITE" "$KERNEL_SUITE" \
		"$VERSION" "$PINSEAL_SRC/scripts/setup-debian" "$PINSEAL_SRC/packaging/guest-packages")"
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
