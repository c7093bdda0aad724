# SPDX-License-Identifier: GPL-2.0-only
"""Kills a guest at random moments under load, and has the next one check what is on its disk.

    crash.py [options] -- COMMAND that runs the guest

COMMAND has the word @ARGUMENTS@ somewhere, for what the guest's program crash is told. The program
says how far its load is promised to be durable; its successor, what it finds. A round is a load, a
kill and a check. The result, a JSON file, is that of a guest of watch.py with one program.
"""

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import time

from console import panic, splats
from watch import Lines, guest_arguments, indented, say, write_result_of_one

# The longest time that a load is left alone, in seconds.
LONGEST_LOAD = 6
# Seconds between lines about how far it is.
BEAT = 60


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seed", type=int, help="the first one, else a random one")
    guest_arguments(parser)
    return parser.parse_args()


class Lost(Exception):
    """A guest that does not do what it should."""


class Guest:
    """One life of the guest."""

    BOOTS = 4

    def __init__(self, options, report, words):
        self._options = options
        self._report = report
        self._words = words
        self.promised = 0

    def live(self, seconds):
        """Runs it until it has been under load for some seconds, and kills it. Without load, it
        ends by itself."""
        for boots_left in reversed(range(self.BOOTS)):
            why = self._live(seconds)
            if not why:
                return
            if boots_left:
                say([f"{self._options.name:<13} {why}; starting it again"])
        raise Lost(why)

    def _live(self, seconds):
        """Says why there was no life, if there was none."""
        command = [word.replace("@ARGUMENTS@", self._words) for word in self._options.command]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   start_new_session=True)
        try:
            return self._watch(process, seconds)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def _watch(self, process, seconds):
        lines, heard, loading, ends = Lines(), False, False, None
        while True:
            limit = self._options.silence if heard else self._options.boot
            if ends:
                limit = max(0, ends - time.monotonic())
            ready, _, _ = select.select([process.stdout], [], [], limit)
            if ends and time.monotonic() >= ends:
                return None
            if not ready:
                if not heard:
                    return f"did not get to init within {self._options.boot:.0f} s"
                raise Lost(f"silent for {limit:.0f} s")
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                # An assertion of QEMU's own. Nothing of ours has run.
                if not heard and process.wait() == -signal.SIGABRT:
                    return "QEMU aborted before init"
                break
            heard = True
            self._report.write(chunk)
            for line in lines.feed(chunk):
                if line.startswith("bad: "):
                    raise Lost(line)
                if line == "loading":
                    loading, ends = True, time.monotonic() + seconds
                if line.startswith("synced "):
                    self.promised = int(line.split()[1])
                if line == "checked" and not seconds:
                    return None
        raise Lost("it ended under load" if loading else "it ended before")


def log(path):
    with open(path, errors="replace") as file:
        return file.read()


def main():
    options = arguments()
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    chance = random.Random(seed)
    failures, promises, beat = [], 0, time.monotonic()
    started = time.monotonic()
    checked = promised = passed = 0

    with open(options.report, "wb") as report:
        for number in range(options.rounds + 1):
            last = number == options.rounds
            load = 0 if last else chance.randrange(1, 1 << 62)
            seconds = 0 if last else chance.uniform(0.05, LONGEST_LOAD) ** 2 / LONGEST_LOAD
            guest = Guest(options, report, f"{checked} {promised} {load}")
            what = f"round {number}: the load of seed {checked} was promised up to {promised}"
            try:
                guest.live(seconds)
                passed += number > 0
            except Lost as lost:
                failures.append((what, [str(lost), *log(options.console).splitlines()[-25:]]))
            console = log(options.console)
            for _, complaint in splats(console):
                failures.append((f"round {number}: kernel log: {complaint[0]}", complaint[1:]))
            if panic(console):
                failures.append((f"round {number}: {panic(console)}", []))
            if failures:
                break
            checked, promised = load, guest.promised
            promises += promised
            if time.monotonic() - beat > BEAT:
                beat = time.monotonic()
                say([f"{options.name:<13} crash: {passed} of {options.rounds} rounds, "
                     f"{promises} promised operations"])

    took = time.monotonic() - started
    counts = f"{passed} passed" + (", 1 failed" if failures else "")
    out = [f"{options.name:<13} {'crash':20}{counts:32}{took:>6.1f} s",
           f"              {promises} promised operations, seed {seed}"]
    for title, lines in failures:
        out += [f"            FAILED {title}", *indented(lines)]
    say(out)
    write_result_of_one(options, f"crash:{options.rounds}", passed,
                        [title for title, _ in failures[:1]], took, seed)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
