# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Package archives, reached as the host's apt is set up to: its mirror, proxies and
# credentials. The host's apt is not changed. To be sourced after lib.sh.

# apt_state NAME: sets APT_CONFIG to a configuration with lists and a cache of its own, and
# locks them. Its sources are the host's until apt_sources is called.
apt_state() {
	local dir=$PINSEAL_CACHE/apt-$1

	lock "apt-$1"
	mkdir -p "$dir"/state/lists/partial "$dir"/cache/archives/partial
	cat >"$dir/apt.conf" <<-END
		Dir::State "$dir/state";
		Dir::State::status "/var/lib/dpkg/status";
		Dir::Cache "$dir/cache";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
		Acquire::Retries "3";
	END
	export APT_CONFIG=$dir/apt.conf
}

# apt_sources ARCH LINE...: limits apt to packages of ARCH from the given sources.
apt_sources() {
	local dir=${APT_CONFIG%/*} arch=$1

	shift
	printf '%s\n' "$@" >"$dir/sources.list"
	: >"$dir/status"
	cat >>"$APT_CONFIG" <<-END
		APT::Architecture "$arch";
		#clear APT::Architectures;
		APT::Architectures { "$arch"; };
		Dir::State::status "$dir/status";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
	END
}

# apt_fetch DIR PACKAGE...: unpacks packages into DIR, without dependencies and without
# running their scripts.
apt_fetch() {
	local dir=$1 debs=$1/.debs deb

	shift
	mkdir -p "$debs"
	(cd "$debs" && apt-get -q download "$@") || return
	for deb in "$debs"/*.deb; do
		echo "unpacking ${deb##*/}"
		dpkg-deb -x "$deb" "$dir" || return
	done
	rm -r "$debs"
}

# The host's apt settings for fetching, for an apt that does not read the host's configuration.
apt_acquire_options() {
	apt-config dump | grep -E \
		'^Acquire::(http|https|ftp|Check-|ForceIP|Retries|Max-|Min-|Proxy|Queue-)[^ ]* "[^"]+"' || true
}

# Makes the packages of the host's sources known to apt. Container images ship no lists; then
# they are fetched aside.
apt_host() {
	unset APT_CONFIG
	[ -z "$(apt-get indextargets 'Created-By: Packages' | head -1)" ] || return 0
	apt_host_fresh
}

# The same with fresh lists, for when the host's are outdated.
apt_host_fresh() {
	apt_state host
	apt-get -q update
}

# The Debian mirror among apt's sources, if there is one.
apt_mirror() {
	apt-get indextargets --format '$(REPO_URI)|$(LABEL)|$(COMPONENT)' 'Created-By: Packages' |
		awk -F'|' '$2 == "Debian" && $3 == "main" { print $1; exit }'
}

# apt_debian STATE ARCH SUITE...: Debian's archive for an architecture and releases that need not
# be the host's.
apt_debian() {
	local mirror root state=$1 arch=$2 suites

	root=$(root_dir)
	apt_host
	mirror=$(apt_mirror)
	[ -n "$mirror" ] || mirror=$(awk '$1 == "deb" { sub(/\[.*\] */, ""); print $2; exit }' \
		"$root/etc/apt/sources.list")
	apt_state "$state"
	shift 2
	suites=("${@/%/ main}")
	apt_sources "$arch" "${suites[@]/#/deb [signed-by=$root/usr/share/keyrings/debian-archive-keyring.gpg] $mirror }"
}

# The archive with the current flavour's kernel (see kernel()).
apt_kernels() { apt_debian "$DEB_ARCH" "$DEB_ARCH" "$KERNEL_SUITE"; }
