# SPDX-License-Identifier: GPL-2.0-only
"""Source lines for the addresses in a kernel's complaint."""

import os
import subprocess


class Symbols:
    """Decodes by the kernel's own script, with a kernel's and our module's debug info."""

    def __init__(self, script, vmlinux, modules):
        self._command = ["bash", script, vmlinux, os.path.dirname(vmlinux), modules]

    def decode(self, lines):
        """The lines with functions and lines of source for addresses, as far as they are known."""
        result = subprocess.run(self._command, input="\n".join(lines) + "\n", text=True,
                                errors="replace", capture_output=True, check=False)
        decoded = result.stdout.splitlines()
        return decoded if result.returncode == 0 and decoded else lines


class NoSymbols:
    """For kernels without debug info."""

    def decode(self, lines):
        """The lines as they are."""
        return lines
