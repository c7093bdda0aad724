#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What an operation of stress-ng's memfd stressor takes, on memfds and, with the preload library, on objects.

    stress_ng.py [SECONDS]

Both take turns, for SECONDS each; medians are compared. It prints a line for people, and one for programs
as bench does. Time is CPU time, because the machine may have others to serve. The library and the folder
stress-ng with Debian's packages are beside this program, in a guest of virtme-ng.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys

ROUNDS = 5
HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = HERE / "libpinseal-memfd.so"
WHAT = "stress-ng --memfd: CPU time for an operation"


def environment(is_object):
    library, = HERE.glob("stress-ng/usr/lib/*-linux-gnu")
    preload = {"LD_PRELOAD": str(LIBRARY)} if is_object else {}
    return os.environ | {"LD_LIBRARY_PATH": str(library)} | preload


def makes_objects():
    """The library falls back to memfds where there is no device."""
    program = "import os; fd = os.memfd_create('x'); print(open(f'/proc/self/fdinfo/{fd}').read())"
    ended = subprocess.run([sys.executable, "-c", program], env=environment(True), check=True,
                           stdout=subprocess.PIPE, text=True)
    return "\nobject:" in ended.stdout


def operation(is_object, seconds):
    """Nanoseconds for one."""
    results = "/tmp/stress-ng.yaml"
    program = HERE / "stress-ng/usr/bin/stress-ng"
    ended = subprocess.run([program, "--quiet", "--metrics", "--memfd", "1", "--timeout", seconds,
                            "--yaml", results], env=environment(is_object), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        sys.exit(f"stress_ng.py: stress-ng has failed:\n{ended.stdout}")
    with open(results) as file:
        rate = re.search(r"bogo-ops-per-second-usr-sys-time: ([0-9.]+)", file.read())
    return 1e9 / float(rate[1])


def main():
    seconds = sys.argv[1] if len(sys.argv) > 1 else "20"
    if not makes_objects():
        sys.exit(f"stress_ng.py: {LIBRARY} does not make objects: is the module loaded?")
    times = {False: [], True: []}
    for _ in range(ROUNDS):
        for is_object, samples in times.items():
            samples.append(operation(is_object, seconds))
    memfd, objects = (statistics.median(samples) for samples in times.values())
    ratio = objects / memfd
    print(f"{WHAT}: memfd {memfd / 1e6:.2f} ms, object {objects / 1e6:.2f} ms, ratio {ratio:.3f}: "
          f"{1 / ratio:.3f} of the operations\n")
    print("bench", "stress_ng_memfd", "ns", round(memfd), round(objects), f"{ratio:.4f}", WHAT, sep="\t")


if __name__ == "__main__":
    main()
