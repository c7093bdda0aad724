# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Packages of the package index of the host's pip, as it is set up. They run in the build root, with its
# Python. To be sourced after lib.sh and apt.sh.

# Sets the array pip to the host's pip, or to one from the host's package archive.
find_pip() {
	local dir=$TMPDIR/pip wheel

	if python3 -m pip --version >/dev/null 2>&1; then
		pip=(python3 -m pip)
		return
	fi
	apt_host
	apt_fetch "$dir" python3-pip-whl || {
		apt_host_fresh
		apt_fetch "$dir" python3-pip-whl
	}
	wheel=$(find "$dir" -name 'pip-*.whl')
	pip=(python3 "$wheel/pip")
}

# pip_install DIR ARGUMENT...: arguments of `pip install`, say NAME==VERSION. A wheel runs nothing when
# it is installed. (pip asks whether the host's Python suffices, not that of the build root.)
pip_install() {
	local dir=$1 pip=() version

	shift
	command -v python3 >/dev/null || die "python3 is missing: apt-get install python3"
	find_pip
	version=$("$PINSEAL_SRC/scripts/in-root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	"${pip[@]}" --disable-pip-version-check --no-input install --progress-bar off \
		--root-user-action ignore --no-compile --only-binary :all: \
		--python-version "$version" --ignore-requires-python --target "$dir" "$@" ||
		die "$* could not be installed by pip, see above." \
			"It comes from PyPI: the host's pip must reach that or a mirror (pip config set" \
			"global.index-url, or PIP_INDEX_URL)."
}
