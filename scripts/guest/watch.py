# SPDX-License-Identifier: GPL-2.0-only
"""Watches one guest: reads its report, shows it, and judges it.

    watch.py tests|show [options] -- COMMAND that runs the guest

`tests` hands the tests of a queue to the guest, prints one line for each, and in full what
failed. `show` passes the program's output on as it comes. The result, a JSON file, is
rewritten after each program. A guest that is silent for too long is killed.

An emulated machine on a busy host can hang before the kernel starts init: its timers do not
keep time with its CPUs. Such a guest is started again, visibly, a few times.
"""

import argparse
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

from console import panic, splats
from report import BEGUN, Report
from symbols import NoSymbols, Symbols

# The lines of a failure that its summary repeats: the machine that ran it may be gone when it is read.
SAID = 24
# What a console has before each line.
STAMP = re.compile(r"^\[\s*\d+\.\d+\](?:\[\s*\w+\])? ?")
# Lines of an oops that name no function: registers, modules, code.
SILENT = re.compile(r"$|Code:|Modules linked in|Hardware name|R[A-Z0-9]{2}: |[DEFC]S: |CR\d: |DR\d: "
                    r"|x\d+ *: |PGD |Mem abort|Data abort|  ?(?:ESR|EC|SET|EA|FSC|ISV|CM|GCS) ?=|#PF: ")


def guest_arguments(parser):
    """What tells of a guest."""
    parser.add_argument("--name", required=True, help="the guest's name in the output")
    parser.add_argument("--silence", type=float, required=True,
                        help="seconds of silence after which the guest is lost")
    parser.add_argument("--boot", type=float, required=True,
                        help="seconds of silence after which it is started again")
    parser.add_argument("--console", required=True, help="file with the kernel's log")
    parser.add_argument("--report", required=True, help="file to keep the report in")
    parser.add_argument("--result", required=True, help="file for the result")
    parser.add_argument("--kept-in", required=True,
                        help="the folder of these files, as the host names it")
    parser.add_argument("command", nargs="+")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["tests", "show"])
    parser.add_argument("--queue", help="file with the tests that are left to run")
    parser.add_argument("--symbols", nargs=3, metavar=("SCRIPT", "VMLINUX", "MODULES"),
                        help="what decodes addresses, if there is debug info")
    guest_arguments(parser)
    return parser.parse_args()


class Queue:
    """The tests left to run, lines "TEST SECONDS" of a file that several guests share."""

    def __init__(self, path):
        self._path = path

    def take(self):
        """Removes and returns the first line, without its end; "" if there is none."""
        with open(self._path, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            first, _, rest = file.read().partition("\n")
            file.seek(0)
            file.truncate()
            file.write(rest)
        return first


class Guest:
    """A running guest and the chunks of its report."""

    BOOTS = 4
    # Silence that a program's time limit does not cover: killing it, sweeping up.
    GRACE = 60

    def __init__(self, options):
        self._options = options
        self._process = None
        self._silence = options.silence
        # The seconds of silence after which it was given up, or 0.
        self.silent = 0
        self.status = None

    def chunks(self):
        for boots_left in reversed(range(self.BOOTS)):
            heard = False
            for chunk in self._run():
                heard = True
                yield chunk
            # An assertion of QEMU's own. Nothing of ours has run.
            aborted = self.status == -signal.SIGABRT
            if heard or not (self.silent or aborted) or not boots_left:
                return
            why = "QEMU aborted before init" if aborted else \
                f"did not get to init within {self._options.boot:.0f} s"
            say([f"{self._options.name:<13} {why}; starting it again"])

    def _run(self):
        # A session of its own: QEMU may be a child of the command, and must not outlive it.
        self._process = subprocess.Popen(self._options.command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, start_new_session=True)
        out = self._process.stdout
        self.silent = 0
        limit = self._options.boot
        while True:
            ready, _, _ = select.select([out], [], [], limit)
            if not ready:
                self.silent = limit
                os.killpg(self._process.pid, signal.SIGKILL)
                break
            chunk = os.read(out.fileno(), 65536)
            if not chunk:
                break
            yield chunk
            limit = self._silence
        self.status = self._process.wait()

    def give(self, test):
        """Answers init's question for the next test with a line of the queue."""
        if test:
            self._silence = max(self._options.silence, float(test.split()[1]) + self.GRACE)
        else:
            self._silence = self._options.silence
        try:
            self._process.stdin.write(test.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass


class Lines:
    """Chunks to lines."""

    def __init__(self):
        self._rest = b""

    def feed(self, chunk):
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode(errors="replace").rstrip("\r") for line in lines]


class PassOn:
    """Prints what a program prints as it comes, but not init's lines.

    Init ends the line before its own: at a line's start the two, "\\n>>> ", are one.
    """

    MARKS = (b"\n>>> ", b">>> ")

    def __init__(self):
        self._held = b""
        self._in_line = False

    def feed(self, chunk):
        rest, self._held = self._held + chunk, b""
        while rest:
            if self._in_line or not self._may_be_mark(rest):
                line, end, rest = rest.partition(b"\n")
                sys.stdout.buffer.write(line + end)
                self._in_line = not end
            elif rest.find(b"\n", 1) < 0:
                self._held, rest = rest, b""
            else:
                rest = rest[rest.find(b"\n", 1) + 1:]
        sys.stdout.buffer.flush()

    def _may_be_mark(self, text):
        return any(mark.startswith(text[:len(mark)]) for mark in self.MARKS)


def say(lines):
    """Prints lines in one go: several guests may print at once."""
    sys.stdout.flush()
    os.write(sys.stdout.fileno(), "".join(f"{line}\n" for line in lines).encode())


def show_program(guest_name, program):
    counts = [f"{program.passed} passed"]
    if program.failed:
        counts.append(f"{program.failed} failed")
    if program.skipped:
        counts.append(f"{program.skipped} skipped")
    took = "" if program.milliseconds is None else f"{program.milliseconds / 1000:.1f} s"
    out = [f"{guest_name:<13} {program.name + ' ':20}{', '.join(counts):32}{took:>8}"]
    for title, lines, _ in program.failures:
        out.append(f"            FAILED {title}")
        out += indented(lines)
    for title, reason in program.skips:
        out.append(f"            skipped {title}: {reason}")
    say(out)


def indented(lines):
    return [f"              {line}" for line in lines]


def verdict(options, guest, report, console):
    """What is wrong with the run as a whole, as (line, details, test) triples: `test` is the
    one that ran then, or None."""
    symbols = Symbols(*options.symbols) if options.symbols else NoSymbols()
    wrong = [(line, details, None) for line, details in report.problems]
    running = report.running.name if report.running else None
    current = report.running and report.running.current
    where = f"while running {running}" + (f" ({current})" if current else "") if running else \
        "after the last program" if report.programs else \
        "before any program ran" if report.booted else "before init reported"
    if report.running:
        # Its results count, but it never ended.
        show_program(options.name, report.running)
    tail = console.splitlines()[-25:]
    if panic(console):
        wrong.append((f"guest lost {where}: {panic(console)}", [], running))
    elif guest.silent:
        wrong.append((f"guest lost {where}: silent for {guest.silent:.0f} s", tail, running))
    elif not report.done:
        wrong.append((f"guest lost {where}: its machine ended with status {guest.status}, "
                      "the report did not", tail, running))
    elif guest.status:
        wrong.append((f"the guest's machine ended with status {guest.status}", tail, running))
    elif options.mode == "tests" and not report.reloaded and not wrong:
        wrong.append(("the module was not unloaded and loaded again", [], running))
    for who, complaint in splats(console):
        wrong.append((f"kernel log ({who}): {complaint[0]}", symbols.decode(complaint[1:]),
                      who.removeprefix("after ").removeprefix("timeout ")))
    return wrong


def ending(lines):
    """The last lines that a failed test printed: why it failed."""
    return [line for line in lines if not BEGUN.match(line)][-SAID:]


def plain(details):
    """The first lines of a kernel's complaint, with what costs room and says nothing left out."""
    lines = (STAMP.sub("", line) for line in details)
    return [line for line in lines if not SILENT.match(line)][:SAID]


def write_result(options, report, seconds, wrong=None):
    """Writes what is known. `wrong` is the verdict, None as long as the guest runs."""
    programs = [{
        "name": program.name,
        "passed": program.passed,
        "failed": program.failed,
        "skipped": program.skipped,
        "seconds": (program.milliseconds or 0) / 1000,
        "seed": program.seed,
        "again": program.again,
        "failures": [{"test": test, "said": ending(lines)} for _, lines, test in program.failures],
    } for program in report.programs if wrong is not None or program is not report.running]
    result = {
        "complete": wrong is not None,
        "release": report.release,
        "kept": options.kept_in,
        "seconds": seconds,
        "programs": programs,
        "problems": [{"text": line, "test": test, "said": plain(details)}
                     for line, details, test in wrong or []],
    }
    new = options.result + ".new"
    with open(new, "w") as file:
        json.dump(result, file, indent=1)
    os.rename(new, options.result)


def write_result_of_one(options, name, passed, failures, seconds, seed=None):
    """Writes the result of a guest that ran one program, watched by another script. `failures` are
    their titles."""
    result = {
        "complete": True, "release": "", "kept": options.kept_in, "seconds": seconds,
        "programs": [{
            "name": name, "passed": passed, "failed": len(failures), "skipped": 0,
            "seconds": seconds, "seed": seed, "again": None,
            "failures": [{"test": title, "said": []} for title in failures],
        }],
        "problems": [],
    }
    with open(options.result, "w") as file:
        json.dump(result, file, indent=1)


def main():
    options = arguments()
    report = Report(tap=options.mode == "tests")
    lines = Lines()
    pass_on = PassOn()
    guest = Guest(options)
    queue = Queue(options.queue) if options.queue else None
    started = time.monotonic()

    with open(options.report, "wb") as kept:
        for chunk in guest.chunks():
            kept.write(chunk)
            kept.flush()
            if options.mode == "show":
                pass_on.feed(chunk)
            for line in lines.feed(chunk):
                ended = report.line(line)
                if ended and (options.mode == "tests" or ended.failed):
                    show_program(options.name, ended)
                    write_result(options, report, time.monotonic() - started)
                if report.asks:
                    report.asks = False
                    guest.give(queue.take() if queue else "")

    with open(options.console, errors="replace") as file:
        console = file.read()
    wrong = verdict(options, guest, report, console)
    out = []
    for line, details, _ in wrong:
        out.append(f"{options.name:<13} FAILED {line}")
        out += indented(details)
    if wrong:
        out.append(f"{options.name:<13} see also {options.kept_in}/console and report")
    say(out)

    write_result(options, report, time.monotonic() - started, wrong)
    sys.exit(1 if wrong or any(program.failed for program in report.programs) else 0)


if __name__ == "__main__":
    main()
