# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Tools for making the build root that need not be installed on the host: mmdebstrap, its Perl
# modules, Debian's archive keys. To be sourced after lib.sh.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Those that the host lacks.
host_lacks() {
	command -v mmdebstrap >/dev/null || echo mmdebstrap
	[ -e $KEYRING ] || echo keyring
	perl -MPod::Usage -MMath::BigInt -MTime::HiRes -MTerm::ANSIColor -MText::ParseWords \
		-e 'require "syscall.ph"; require "sys/ioctl.ph"' 2>/dev/null || echo perl
}

# The folder that has them instead.
host_tools_dir() {
	printf '%s/host-tools-%s\n' "$PINSEAL_CACHE" "$(key "$(cat /etc/os-release)" "$(host_lacks)")"
}
