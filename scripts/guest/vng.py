# SPDX-License-Identifier: GPL-2.0-only
"""Starts a guest by virtme-ng, whose folder is in PYTHONPATH, and ends with its status.

    vng.py --kernel DIR --release RELEASE [--console FILE] -- OPTION of virtme-run...

DIR is a folder that setup-*-kernel made, with the kernel RELEASE. FILE gets the kernel's log
and all else that goes to standard error; without it, standard error is for the command in the
guest, and nobody sees the log.
"""

import argparse
import os
import subprocess
import sys
import tempfile

from virtme.commands import run


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--console")
    parser.add_argument("options", nargs="+")
    return parser.parse_args()


def kernel_image(folder):
    """The kernel where virtme-ng finds its modules: in a folder that has lib/modules too."""
    top = tempfile.mkdtemp(prefix="kernel-")
    os.symlink(os.path.join(folder, "modules", "lib"), os.path.join(top, "lib"))
    image = os.path.join(top, "vmlinuz")
    os.symlink(os.path.join(folder, "vmlinuz"), image)
    return image


def copy_to(descriptor, target):
    """Makes the descriptor a pipe to `target`, a process that copies. QEMU opens descriptors
    anew, some more than once: a file would be truncated, and written by several at once."""
    read, write = os.pipe()
    copier = subprocess.Popen(["cat"], stdin=read, stdout=target)
    os.close(read)
    os.dup2(write, descriptor)
    os.close(write)
    return copier


def main():
    options = arguments()
    image = kernel_image(options.kernel)
    copiers = []
    if options.console:
        options.options.insert(0, "--show-boot-console")
        with open(options.console, "wb") as console:
            copiers.append(copy_to(2, console))
    else:
        for descriptor in (1, 2):
            if not os.isatty(descriptor):
                copiers.append(copy_to(descriptor, os.dup(descriptor)))

    # It would look for it in the image.
    run.get_kernel_version = lambda *_: options.release
    # What an s390 takes; these take more. A longer command line would be written to the root.
    run.KERNEL_CMDLINE_MAX = 2047
    sys.argv[1:] = ["--kimg", image, "--mods", "auto", *options.options]
    status = run.main()

    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for copier in copiers:
        copier.wait()
    return status


if __name__ == "__main__":
    sys.exit(main())
