# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Rust programs for the guests, built by the root's rustc and cargo: static, for the current
# flavour's architecture. To be sourced after lib.sh and apt.sh.

RUST_REFUSED="It comes from the registry of Rust crates: the host must reach that or a mirror (~/.cargo/config.toml)."

# The current flavour's target.
rust_target() { printf '%s-unknown-linux-gnu\n' "${ARCH/arm64/aarch64}"; }

# The folder with the standard library of an architecture that is not the root's.
rust_std_dir() {
	printf '%s/rust-std-%s-%s\n' "$PINSEAL_CACHE" "$ARCH" "$(key "$(basename "$(root_dir)")")"
}

fetch_rust_std() {
	apt_debian "$DEB_ARCH-root" "$DEB_ARCH" "$SUITE"
	apt-get -q update
	apt_fetch "$1" libstd-rust-dev
}

# Sets the array rust_flags to options of rustc for static programs of the current flavour, and makes
# what they need.
rust_flags() {
	rust_flags=(-C "linker=${CROSS_COMPILE}gcc-$GCC_VERSION" -C target-feature=+crt-static
		-C relocation-model=static)
	[ ! -d "$(root_dir)/usr/lib/rustlib/$(rust_target)/lib" ] || return 0
	publish "$(basename "$(rust_std_dir)")" fetch_rust_std
	rust_flags+=(--sysroot "$(inside "$(rust_std_dir)")/usr")
}

# The folder with static libelf and zlib for the current flavour's architecture.
elf_libraries_dir() {
	printf '%s/elf-libraries-%s-%s\n' "$PINSEAL_CACHE" "$ARCH" "$(key "$ELF_SUITE")"
}

fetch_elf_libraries() {
	apt_debian "$DEB_ARCH-elf" "$DEB_ARCH" "$ELF_SUITE"
	apt-get -q update
	apt_fetch "$1" libelf-dev zlib1g-dev
}

# Sets the array bpf_environment to variables for cargo, with which the feature bpf of pinsealctl is
# built for the current flavour: a crate brings libbpf, in C, and that needs libelf. To be called after
# rust_flags; it adds to them.
bpf_environment() {
	local target

	target=$(rust_target)
	publish "$(basename "$(elf_libraries_dir)")" fetch_elf_libraries
	rust_flags+=(-L "native=$(inside "$(elf_libraries_dir)")/usr/lib/${CROSS_COMPILE%-}")
	# The headers are the root's, where the compiler finds them without pkg-config.
	bpf_environment=("CC_${target//-/_}=${CROSS_COMPILE}gcc-$GCC_VERSION" "HOST_CC=gcc-$GCC_VERSION" PKG_CONFIG=true)
}

# cargo_config DIR: lets a cargo with the home DIR reach the registry as the host's does.
cargo_config() {
	local config

	mkdir -p "$1"
	for config in "${CARGO_HOME:-${HOME:-/root}/.cargo}"/config{,.toml}; do
		[ ! -e "$config" ] || cp "$config" "$1/"
	done
}

# Where cargo builds this checkout's programs.
cargo_target_dir() { printf '%s/work-%s/cargo\n' "$PINSEAL_CACHE" "$(key "$PINSEAL_SRC")"; }

# in_tools COMMAND...: runs COMMAND of cargo in the folder tools of this checkout, without the network.
in_tools() {
	"$PINSEAL_SRC/scripts/in-root" env -C /pinseal/tools CARGO_HOME="$(inside "$(crates_dir)")" \
		CARGO_NET_OFFLINE=true CARGO_TARGET_DIR="$(inside "$(cargo_target_dir)")" \
		"$@"
}
