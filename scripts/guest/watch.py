# SPDX-License-Identifier: GPL-2.0-only
"""Watches one guest: reads its report, shows it, and says how it went.

    watch.py tests|show [options] -- COMMAND that runs the guest

`tests` prints one line for each test program, and in full what failed. `show`
passes the program's output on as it comes. The result, "passed failed skipped",
goes to a file. A guest that says nothing for too long is killed.

An emulated machine on a busy host now and then hangs before the kernel has even
started init: its timers do not keep time with its CPUs. That has nothing to do with
what is tested, so such a guest is started again, visibly, a few times.
"""

import argparse
import os
import select
import subprocess
import sys
import time

from console import panicked, splats
from report import Report
from symbols import NoSymbols, Symbols


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["tests", "show"])
    parser.add_argument("--name", required=True, help="how to call the guest")
    parser.add_argument("--silence", type=float, required=True,
                        help="seconds without a word after which it is lost")
    parser.add_argument("--boot", type=float, required=True,
                        help="seconds until the first word, or it is started again")
    parser.add_argument("--console", required=True, help="file the kernel's log goes to")
    parser.add_argument("--report", required=True, help="file to keep the report in")
    parser.add_argument("--result", required=True, help="file for the result")
    parser.add_argument("--kept-in", required=True,
                        help="the folder of these files, as a person finds it")
    parser.add_argument("--symbols", nargs=3, metavar=("SCRIPT", "VMLINUX", "MODULES"),
                        help="what decodes addresses, if there is debug info")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


class Guest:
    """A running guest and the chunks of its report."""

    BOOTS = 4

    def __init__(self, options):
        self._options = options
        self.silent = False
        self.status = None

    def chunks(self):
        for boots_left in reversed(range(self.BOOTS)):
            heard = False
            for chunk in self._run(self._options.boot):
                heard = True
                yield chunk
            if heard or not self.silent or not boots_left:
                return
            say([f"{self._options.name:<12}did not get to init within "
                 f"{self._options.boot:.0f} s; starting it again"])

    def _run(self, patience):
        process = subprocess.Popen(self._options.command, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        out = process.stdout
        self.silent = False
        while True:
            ready, _, _ = select.select([out], [], [], patience)
            patience = self._options.silence
            if not ready:
                self.silent = True
                process.kill()
                break
            chunk = os.read(out.fileno(), 65536)
            if not chunk:
                break
            yield chunk
        self.status = process.wait()


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
    """Prints lines in one go: another guest may be running beside this one."""
    sys.stdout.flush()
    os.write(sys.stdout.fileno(), "".join(f"{line}\n" for line in lines).encode())


def show_program(guest_name, program):
    counts = [f"{program.passed} passed"]
    if program.failed:
        counts.append(f"{program.failed} failed")
    if program.skipped:
        counts.append(f"{program.skipped} skipped")
    took = "" if program.milliseconds is None else f"{program.milliseconds / 1000:.1f} s"
    out = [f"{guest_name:<12}{program.name:20}{', '.join(counts):32}{took:>8}"]
    for title, lines in program.failures:
        out.append(f"            FAILED {title}")
        out += indented(lines)
    for title, reason in program.skips:
        out.append(f"            skipped {title}: {reason}")
    say(out)


def indented(lines):
    return [f"              {line}" for line in lines]


def verdict(options, guest, report, console):
    """What is wrong with the run as a whole, as (line, details) pairs."""
    symbols = Symbols(*options.symbols) if options.symbols else NoSymbols()
    wrong = list(report.problems)
    where = f"while running {report.running.name}" if report.running else \
        "after the last program" if report.programs else \
        "before any program ran" if report.booted else "before init reported"
    if report.running:
        # What it printed counts, but it never ended.
        show_program(options.name, report.running)
    tail = console.splitlines()[-25:]
    if panicked(console):
        wrong.append((f"kernel panic {where}", []))
    elif guest.silent:
        limit = options.silence if report.booted else options.boot
        wrong.append((f"guest lost {where}: not a word for {limit:.0f} s", tail))
    elif not report.done:
        wrong.append((f"guest lost {where}: it ended with status {guest.status} "
                      "and without a last word", tail))
    elif guest.status:
        wrong.append((f"QEMU ended with status {guest.status}", tail))
    elif options.mode == "tests" and not report.reloaded and not wrong:
        wrong.append(("the module was not unloaded and loaded again", []))
    if options.mode == "tests" and report.done and not report.programs and not wrong:
        wrong.append(("no test program ran", []))
    for who, complaint in splats(console):
        wrong.append((f"kernel log ({who}): {complaint[0]}", symbols.decode(complaint[1:])))
    return wrong


def main():
    options = arguments()
    report = Report(tap=options.mode == "tests")
    lines = Lines()
    pass_on = PassOn()
    guest = Guest(options)
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

    with open(options.console, errors="replace") as file:
        console = file.read()
    wrong = verdict(options, guest, report, console)
    out = []
    for line, details in wrong:
        out.append(f"{options.name:<12}FAILED {line}")
        out += indented(details)
    if wrong:
        out.append(f"{options.name:<12}see also {options.kept_in}/console and report")
    say(out)

    passed, failed, skipped = (sum(getattr(program, what) for program in report.programs)
                               for what in ("passed", "failed", "skipped"))
    failed += len(wrong)
    with open(options.result, "w") as file:
        file.write(f"{passed} {failed} {skipped} {time.monotonic() - started:.0f}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
