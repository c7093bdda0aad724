# SPDX-License-Identifier: GPL-2.0-only
"""What a guest reports, line by line. qemu/init.c writes it.

Between lines of init's own, which begin with ">>> ", is the TAP of one test program after
another.
"""

import re

# Taint of an out-of-tree and unsigned module, of what Debian does not support (fanotify's events that
# wait for an answer), and of KUnit suites.
NORMAL_TAINT = 1 << 12 | 1 << 13 | 1 << 16 | 1 << 18
TAINT_FLAGS = "PFSRMBUDAWCIOELKXTNJ"

RESULT = re.compile(r"(not )?ok\b\s*(\d+)?\s*-?\s*([^#]*?)\s*(?:#\s*(\w+)\b\s*(.*))?$")
# What a program of random tests says of its seed, and how to run it again from where it
# failed: a program and its arguments.
SEED = re.compile(r"#.*\bseed (\d+)\b")
AGAIN = re.compile(r"#.*\bagain: (\w+(?: \w+)*)$")
# What the harness says when it begins a test.
BEGUN = re.compile(r"#\s+RUN\s+(\S+) \.\.\.")
PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*(SKIP)\b\s*(.*))?")


def taint_letters(mask):
    """The flags of a taint mask that a clean run does not have."""
    mask &= ~NORMAL_TAINT
    known = [letter for bit, letter in enumerate(TAINT_FLAGS) if mask >> bit & 1]
    return "".join(known) or (hex(mask) if mask else "")


class Program:
    """One test program and its results."""

    def __init__(self, name, tap):
        self.name = name
        self.tap = tap
        self.passed = self.failed = self.skipped = 0
        self.planned = None
        self.milliseconds = None
        # The test of the program that runs.
        self.current = None
        self.seed = self.again = None
        # (title, lines, test) of each failure: what is printed, and what names it in the
        # summary; (title, reason) of each skip.
        self.failures = []
        self.skips = []
        # What was printed before the first result, and since the last one.
        self._before = []
        self._since_result = []

    def line(self, line):
        """Takes one line of the program's output."""
        if not self.tap:
            return
        plan = PLAN.match(line)
        result = RESULT.match(line)
        if plan and self.planned is None:
            self.planned = int(plan[1])
            if plan[2]:
                self._skip_all(plan[3])
        elif result and result[2]:
            self._result(line, *result.groups())
        else:
            self._since_result.append(line)
            begun, seed, again = BEGUN.match(line), SEED.match(line), AGAIN.match(line)
            if begun:
                self.current = begun[1]
            if seed and self.seed is None:
                self.seed = int(seed[1])
            if again:
                self.again = again[1].replace(" ", ":")

    def _result(self, line, failed, _number, name, directive, rest):
        directive = (directive or "").upper()
        if not self._results():
            self._before = self._since_result
        if failed and directive not in ("TODO", "XFAIL"):
            # A program may say first what is wrong, and give all results then.
            self.fail(line, self._since_result or self._before, name or line)
        elif directive == "SKIP":
            self.skipped += 1
            self.skips.append((name, rest))
        else:
            self.passed += 1
        self._since_result = []
        self.current = None

    def _results(self):
        return self.passed + self.failed + self.skipped

    def _skip_all(self, reason):
        self.skipped += 1
        self.planned += 1
        self.skips.append(("all of it", reason))

    def fail(self, title, lines=(), test=None):
        """Counts one failure."""
        self.failed += 1
        self.failures.append((title, list(lines), test or title))

    def end(self, how, code, milliseconds, taint, taint_before):
        """The program has ended: checks that its results are consistent."""
        self.milliseconds = milliseconds
        results = self._results()
        tail = self._since_result[-20:]
        during = f" in {self.current}" if self.current else ""
        if how == "timeout":
            self.fail(f"did not end within {code} s{during} and was killed", tail)
        elif how == "stuck":
            self.fail(f"did not end within {code} s{during}, nor when killed", tail)
        elif how == "signal":
            self.fail(f"was killed by signal {code}{during}", tail)
        elif not self.tap:
            if code:
                self.fail(f"ended with exit status {code}")
        elif self.planned is None:
            self.fail(f"printed no TAP plan; its exit status was {code}", tail)
        elif results != self.planned:
            self.fail(f"planned {self.planned} tests, gave {results} results", tail)
        elif code == 4 and self.skipped and not self.failed:
            pass
        elif bool(code) != bool(self.failed):
            self.fail(f"exit status {code} with {self.failed} failed tests", tail)
        if taint & ~taint_before & ~NORMAL_TAINT:
            self.fail(f"left the kernel tainted: {taint_letters(taint & ~taint_before)}")


class Report:
    """A whole report: `programs`, and `problems`, which are pairs of a line and its details.

    Without `tap`, the output of programs is not interpreted.
    """

    def __init__(self, tap):
        self.programs = []
        self.problems = []
        self.booted = False
        self.reloaded = False
        self.done = False
        # Init wants to know the next test. The answer clears it.
        self.asks = False
        self.release = ""
        self.running = None
        self._tap = tap
        self._taint = 0
        self._leaks = None

    def line(self, line):
        """Takes one line; returns the program that has ended with it, if any."""
        if line.startswith(">>> "):
            return self._marker(line[4:].split())
        if self.running and line:
            self.running.line(line)
        return None

    def _marker(self, words):
        match words:
            case ["boot", _, release]:
                self.booted = True
                self.release = release
            case ["next"]:
                self.asks = True
            case ["loaded", "taint", taint]:
                self._taint = int(taint)
                if self._taint & ~NORMAL_TAINT:
                    self._problem("booting and loading the module left the kernel "
                                  f"tainted: {taint_letters(self._taint)}")
            case ["begin", name]:
                self.running = Program(name, self._tap)
                self.programs.append(self.running)
            case ["end", name, how, code, "ms", ms, "taint", taint]:
                ended, self.running = self.running, None
                if ended is None or ended.name != name:
                    self._problem(f"init ended {name}, which was not running")
                    return None
                ended.end(how, int(code), int(ms), int(taint), self._taint)
                self._taint = int(taint)
                return ended
            case ["left", name, *what] if self.running and self.running.name == name:
                self.running.fail("left " + " ".join(what))
            case ["leak", *rest]:
                if self._leaks is None:
                    self._leaks = []
                    self.problems.append(("kmemleak found lost memory", self._leaks))
                self._leaks.append(" ".join(rest))
            case ["reload", "ok", "taint", taint]:
                self.reloaded = True
                if int(taint) & ~self._taint & ~NORMAL_TAINT:
                    self._problem("unloading and loading again left the kernel "
                                  f"tainted: {taint_letters(int(taint) & ~self._taint)}")
            case ["done"]:
                self.done = True
            case _:
                self._problem(" ".join(words))
        return None

    def _problem(self, line):
        self.problems.append((line, []))
