# SPDX-License-Identifier: GPL-2.0-only
"""Runs a guest whose QEMU counts what operations execute, and compares that with budgets.

    count.py [options] -- COMMAND that runs the guest

The guest's program count says which operations it did on which kinds of memory, in order; the
plugin's file has what each of them executed. An operation's numbers are the least of its rounds. Its
cost is its instructions by those that memfd needs for the same, or its instructions where memfd knows
no such operation. That must not exceed what the file of budgets has by more than 3 %.

The file "counts" beside the result has the table. The result, a JSON file, is that of a guest of
watch.py with one program, for which each budget is a test.
"""

import argparse
import collections
import math
import os
import sys
import time

from console import panic, splats
from watch import Guest, Lines, guest_arguments, indented, say, write_result_of_one

# How much more than its budget an operation may cost: numbers repeat within 1 %.
SLACK = 1.03
# Rounds that fill caches.
FIRST = 2

Counts = collections.namedtuple("Counts", "instructions code data")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--test", required=True, help="the test's name: count[:PREFIX]")
    parser.add_argument("--counts", required=True, help="the plugin's file")
    parser.add_argument("--budgets", nargs=2, metavar=("FILE", "ARCH"),
                        help="what operations may cost, if the kernel is one that it is known for")
    guest_arguments(parser)
    return parser.parse_args()


def least(samples):
    """The least of an operation's rounds."""
    return Counts(*map(min, zip(*samples[FIRST:])))


def joined(marked, path):
    """{operation: {kind: Counts}} of what the guest says it did, and the plugin's file."""
    with open(path) as file:
        counted = [Counts(*map(int, line.split())) for line in file]
    if len(counted) != len(marked):
        raise ValueError(f"the guest did {len(marked)} operations, {len(counted)} were counted")
    samples = collections.defaultdict(list)
    for mark, counts in zip(marked, counted):
        samples[mark].append(counts)
    found = collections.defaultdict(dict)
    for (operation, kind), rounds in samples.items():
        found[operation][kind] = least(rounds)
    return found


def read_budgets(path, arch):
    """{(operation, kind): cost} for an architecture; infinite for "-"."""
    budgets, columns = {}, None
    with open(path) as file:
        for line in file:
            words = line.split()
            if words[:3] == ["#", "operation", "kind"]:
                columns = words[1:]
            elif words and not line.startswith("#"):
                budget = words[columns.index(arch)]
                budgets[words[0], words[1]] = math.inf if budget == "-" else float(budget)
    return budgets


def cost(by_kind, kind):
    """By memfd's, or in instructions."""
    memfd = by_kind.get("memfd")
    instructions = by_kind[kind].instructions
    return instructions / memfd.instructions if memfd else instructions


def number(value):
    """A ratio, or a number of instructions."""
    if value == math.inf:
        return "-"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def table(found, budgets):
    """All that was counted, as lines."""
    yield (f"{'':17} {'':8} {'instructions':>20} {'':>7} {'':>7} {'lines of code':>15} "
           f"{'of data':>15}")
    yield (f"{'operation':17} {'kind':8} {'memfd':>10}{'object':>10} {'cost':>7} {'budget':>7} "
           f"{'memfd':>8}{'object':>7} {'memfd':>8}{'object':>7}")
    for operation, by_kind in found.items():
        memfd = by_kind.get("memfd")
        for kind, counts in by_kind.items():
            if kind == "memfd":
                continue
            budget = budgets.get((operation, kind))
            theirs = map(str, memfd or Counts("", "", ""))
            instructions, code, data = theirs
            yield (f"{operation:17} {kind:8} {instructions:>10}{counts.instructions:>10} "
                   f"{number(cost(by_kind, kind)):>7} {number(budget) if budget else '-':>7} "
                   f"{code:>8}{counts.code:>7} {data:>8}{counts.data:>7}")


def judge(found, budgets, prefix):
    """(operation and kind, what is wrong or None) for what has a budget or should have one, of the
    operations whose names begin with prefix."""
    for operation, kind in budgets:
        if operation.startswith(prefix) and kind not in found.get(operation, ()):
            yield f"{operation} of {kind}", "has a budget, and was not counted"
    for operation, by_kind in found.items():
        for kind in by_kind:
            if kind == "memfd":
                continue
            is_cost, budget = cost(by_kind, kind), budgets.get((operation, kind))
            wrong = None
            if budget is None:
                wrong = f"has no budget; it costs {number(is_cost)}"
            elif is_cost > budget * SLACK:
                wrong = f"costs {number(is_cost)}, more than its budget of {number(budget)}"
            yield f"{operation} of {kind}", wrong


def run(options):
    """What the guest did, in order; and what is wrong with it, as (line, details)."""
    guest, lines, marked, done = Guest(options), Lines(), [], False
    with open(options.report, "wb") as kept:
        for chunk in guest.chunks():
            kept.write(chunk)
            for line in lines.feed(chunk):
                words = line.split()
                if words[:1] == ["count"] and len(words) == 3:
                    marked.append((words[1], words[2]))
                elif words[:4] == [">>>", "end", "count", "exit"]:
                    done = words[4] == "0"
    with open(options.console, errors="replace") as file:
        console = file.read()
    wrong = [(complaint[0], complaint[1:]) for _, complaint in splats(console)]
    if panic(console):
        wrong.append((panic(console), []))
    if not done:
        with open(options.report, errors="replace") as file:
            said = file.read().splitlines()[-5:]
        wrong.append(("the program did not do all operations", said))
    return marked, wrong


def main():
    options = arguments()
    began = time.monotonic()
    marked, wrong = run(options)
    prefix = options.test.partition(":")[2]
    if not marked and not wrong:
        wrong = [(f"there is no operation {prefix}", [])]
    budgets = read_budgets(*options.budgets) if options.budgets else {}
    passed, failures = 0, [(line, details) for line, details in wrong]
    if not wrong:
        try:
            found = joined(marked, options.counts)
        except ValueError as error:
            failures.append((str(error), []))
            found = {}
        with open(os.path.join(os.path.dirname(options.result), "counts"), "w") as file:
            file.writelines(f"{line}\n" for line in table(found, budgets))
        for what, problem in judge(found, budgets, prefix) if found and options.budgets else ():
            if problem:
                failures.append((f"{what} {problem}", []))
            else:
                passed += 1

    took = time.monotonic() - began
    counts = f"{passed} passed" + (f", {len(failures)} failed" if failures else "")
    out = [f"{options.name:<13} {options.test + ' ':20}{counts:32}{took:>6.1f} s"]
    for title, lines in failures:
        out += [f"            FAILED {title}", *indented(lines)]
    say(out)
    write_result_of_one(options, options.test, passed, [title for title, _ in failures], took)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
