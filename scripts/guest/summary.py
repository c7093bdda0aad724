# SPDX-License-Identifier: GPL-2.0-only
"""Sums up a run: the results that watch.py has left in its folder.

    summary.py [--table] [--setting NAME=VALUE]... [--kdir DIR] RUN MATRIX FLAVOUR...

RUN/FLAVOUR/tests names the tests, RUN/FLAVOUR/left those for which there was no time,
RUN/FLAVOUR/NUMBER/result is the result of a guest, MATRIX is qemu/flavours. Prints the slowest
programs, a table, each failed test with the command that runs it again, and, as the last line,
the sum. The exit status is 0 if nothing failed.
"""

import argparse
import json
import os
import sys

SLOWEST = 10
# The failures of one program that are named.
NAMED = 20
# What is before a line that a test or a kernel has printed.
QUOTE = "    | "


def quoted(failure):
    return [QUOTE + line for line in failure["said"]]


def commands(matrix, settings, kdir):
    """For each flavour, the command that runs its tests."""
    found = {prefix + "kdir": " ".join([make, f"KDIR={kdir}", *settings])
             for prefix, make in (("", "make test"), ("vng-", "make vng-test"))}
    seen = set()
    with open(matrix) as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    for name, arch, _, _, _, configuration, *_ in rows:
        if (arch, configuration) in seen:
            chosen = [f'FLAVOURS="{name}"']
        else:
            kernel = [] if configuration == "stock" else [f"KERNEL={configuration}"]
            chosen = [*kernel, f"ARCH={arch}"]
        found[name] = " ".join(["make test", *chosen, *settings])
        # The same kernel, in a guest that virtme-ng starts.
        found[f"vng-{name}"] = " ".join(["make vng-test", *chosen, *settings])
        found[f"count-{name}"] = " ".join(["make count", *chosen, *settings])
        found[f"crash-{name}"] = " ".join(["make crash", *chosen, *settings])
        seen.add((arch, configuration))
    return found


class Flavour:
    """The results of all guests with one kernel."""

    def __init__(self, run, name, command):
        self.name = name
        self._make = command
        folder = os.path.join(run, name)
        tests = self._listed(os.path.join(folder, "tests"))
        guests = sorted((int(n) for n in os.listdir(folder) if n.isdigit()))
        self._guests = [self._read(os.path.join(folder, str(n))) for n in guests]
        self.programs = [program for guest in self._guests for program in guest["programs"]]
        self.problems = [problem for guest in self._guests for problem in guest["problems"]]
        self.release = next((g["release"] for g in self._guests if g["release"]), "-")
        ran = {program["name"] for program in self.programs}
        left = os.path.join(folder, "left")
        self.left = self._listed(left) if os.path.exists(left) else []
        self.missed = [test for test in tests if test not in ran and test not in self.left]

    @staticmethod
    def _listed(path):
        with open(path) as file:
            return [line.split()[0] for line in file]

    @staticmethod
    def _read(folder):
        nothing = {"complete": False, "release": "", "kept": "", "programs": [], "problems": []}
        try:
            with open(os.path.join(folder, "result")) as file:
                guest = json.load(file)
        except FileNotFoundError:
            guest = nothing
        # `make hammer RUN=` goes on with a run that was interrupted.
        if not guest["complete"] and not os.path.exists(os.path.join(folder, "interrupted")):
            guest["problems"] = [{"text": "the guest was not watched to its end", "test": None, "said": []}]
        return guest

    def rows(self):
        """(passed, failed, skipped, seconds, seeds, what) of the tests, and of the fuzzer's
        runs with seeds of their own."""
        fuzz = [program for program in self.programs if program["name"].startswith("fuzz:")]
        rest = [program for program in self.programs if program not in fuzz]
        wrong = len(self.problems) + bool(self.missed)
        if rest or wrong or not fuzz:
            yield *self._counts(rest, wrong, len(self.left)), "tests"
        if fuzz:
            yield *self._counts(fuzz, 0), "fuzz"

    @staticmethod
    def _counts(programs, wrong, left=0):
        passed, failed, skipped, seconds = (sum(program[what] for program in programs)
                                            for what in ("passed", "failed", "skipped", "seconds"))
        seeds = " ".join(str(program["seed"]) for program in programs if program["seed"])
        return passed, failed + wrong, skipped + left, round(seconds), seeds

    def without_time(self):
        """The lines that name what was left."""
        if self.left:
            yield f"  {self.name} {' '.join(self.left)}"
            yield f"    by: {self._command(' '.join(self.left))}"

    def failures(self):
        """The lines that name what failed."""
        for guest in self._guests:
            names = [program["name"] for program in guest["programs"]]
            tests = {}
            for program in guest["programs"]:
                if program["failures"]:
                    seed = f' (seed {program["seed"]})' if program["seed"] else ""
                    said = program["failures"][:NAMED]
                    more = len(program["failures"]) - len(said)
                    lines = tests.setdefault(program["name"], [])
                    for failure in said:
                        lines.append(f"{program['name']}{seed}: {failure['test']}")
                        lines += quoted(failure)
                    if more:
                        lines.append(f"{program['name']}: {more} more")
            for problem in guest["problems"]:
                test = problem["test"] if problem["test"] in names else None
                tests.setdefault(test, []).extend([problem["text"], *quoted(problem)])
            for test, lines in tests.items():
                yield from (line if line.startswith(QUOTE) else f"  {self.name} {line}" for line in lines)
                if names:
                    yield f"    again: {self._again(guest, test)}"
            if tests and guest["kept"]:
                yield f"    console, report: {guest['kept']}"
        if self.missed:
            yield f"  {self.name}: not run: {' '.join(self.missed)}"
            yield f"    again: {self._command(' '.join(self.missed))}"

    def _again(self, guest, test):
        """The command that runs just this test again, or all of this guest's."""
        for program in guest["programs"]:
            if program["name"] == test and program["failures"] and program["again"]:
                return self._command(program["again"])
        return self._command(test or " ".join(program["name"] for program in guest["programs"]))

    def _command(self, tests):
        # Of these there is one, whose arguments are variables.
        if self.name.startswith(("crash-", "count-")):
            variables = {"crash": ("ROUNDS", "SEED"), "count": ("COUNT",)}
            name, *words = tests.split(":")
            return " ".join([self._make, *(f"{variable}={word}" for variable, word
                                           in zip(variables[name], words))])
        return f'{self._make} TEST="{tests}"'


def show_slowest(flavours):
    programs = [(program["seconds"], flavour.name, program["name"])
                for flavour in flavours for program in flavour.programs]
    if len(programs) <= SLOWEST:
        return
    print("\nThe slowest:")
    for seconds, flavour, name in sorted(programs, reverse=True)[:SLOWEST]:
        print(f"  {flavour:<13} {name:<24}{seconds:>8.1f} s")


def show_table(flavours):
    print(f"\n{'kernel':<14}{'release':<27}{'':<6}"
          f"{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>8}  seeds")
    for flavour in flavours:
        for passed, failed, skipped, seconds, seeds, what in flavour.rows():
            print(f"{flavour.name:<13} {flavour.release:<27}{what:<6}"
                  f"{passed:>8}{failed:>8}{skipped:>8}{seconds:>8}  {seeds}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--setting", action="append", default=[],
                        help="what a command that runs a test again has to set")
    parser.add_argument("--kdir", help="the caller's kernel")
    parser.add_argument("run")
    parser.add_argument("matrix")
    parser.add_argument("flavours", nargs="+")
    options = parser.parse_args()
    command = commands(options.matrix, options.setting, options.kdir)
    flavours = [Flavour(options.run, name, command[name]) for name in options.flavours]

    show_slowest(flavours)
    if options.table or len(flavours) > 2:
        show_table(flavours)
    left = [line for flavour in flavours for line in flavour.without_time()]
    if left:
        print("\nNot begun before the time was up, and skipped:", *left, sep="\n")
    failures = [line for flavour in flavours for line in flavour.failures()]
    if failures:
        print("\nFailed:", *failures, sep="\n")
    rows = [row for flavour in flavours for row in flavour.rows()]
    passed, failed, skipped = (sum(row[i] for row in rows) for i in range(3))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
