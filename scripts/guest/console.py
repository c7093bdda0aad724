# SPDX-License-Identifier: GPL-2.0-only
"""The guest's console, searched for what must never be there."""

import re

PANIC = re.compile(r"Kernel panic.*|Unable to mount root.*")

# How the kernel says that something is wrong with it.
SPLAT = re.compile(
    r"WARNING:|WARNING! |\bBUG\b|\bOops\b|Internal error|general protection fault"
    r"|Unable to handle kernel|UBSAN:|KASAN:|KFENCE:|KCSAN:|KMSAN:"
    r"|possible (?:circular|recursive|irq lock)|inconsistent lock state|suspicious RCU"
    r"|blocked for more than|soft lockup|hard LOCKUP|rcu.*(?:stall|starved)"
    r"|refcount_t|Call [Tt]race|kmemleak: \d+ new|Bad page|bad page|Bad rss|Out of memory"
    r"|scheduling while atomic|stack-protector|list_(?:add|del) corruption"
    r"|rust_kernel: panicked|panicked at|invoked oom-killer"
)
# What the kernel says, with a trace, about an allocation that fault injection made fail.
INJECTED = re.compile(r"page allocation failure|vmalloc error")
INJECTORS = ("faults", "fault_injection")
# A report of the race detector is framed. The kernel has races of its own, by design or not.
# Ours are those with an access of the module's: by one of its functions, or by one that it
# calls for the access.
RACE = re.compile(r"BUG: KCSAN:")
FRAME = re.compile(r"={60,}$")
ACCESS = re.compile(r"\b(?:read|write|assert).*\bby (?:task|interrupt)\b.*:$")
ACCESS_FRAMES = 2
OURS = "[pinseal]"
# The most lines of one complaint.
LONGEST = 60
MARK = re.compile(r"pinseal-init: (begin|end|load|unload|timeout) (\S+)")


def culprit(kind, name):
    """The program to blame for what follows init's mark."""
    return {"begin": name, "end": f"after {name}"}.get(kind, f"{kind} {name}")


def is_ours(complaint):
    """False for a data race that is none of the module's."""
    if not RACE.search(complaint[0]):
        return True
    for number, line in enumerate(complaint):
        frames = complaint[number + 1 : number + 1 + ACCESS_FRAMES]
        if ACCESS.search(line) and any(OURS in frame for frame in frames):
            return True
    return False


def splats(text):
    """(culprit, lines) of each complaint about the module or the kernel under it."""
    return [(who, complaint) for who, complaint in all_splats(text) if is_ours(complaint)]


def all_splats(text):
    """(culprit, lines) of each complaint."""
    found = []
    who, complaint = "boot", None
    asked_for = injected = False
    for line in map(str.strip, text.splitlines()):
        mark = MARK.search(line)
        if mark:
            # After a timeout, init makes the kernel list blocked tasks.
            asked_for = mark[1] == "timeout"
            who, complaint = culprit(*mark.groups()), None
            injected = False
        elif complaint is not None and len(complaint) < LONGEST:
            complaint.append(line)
            if "---[ end trace" in line or FRAME.search(line):
                complaint = None
        elif INJECTED.search(line) and who in INJECTORS:
            injected = True
        elif injected and "call trace:" in line.lower():
            injected = False
        elif SPLAT.search(line) and not asked_for:
            complaint = [line]
            found.append((who, complaint))
    return found


def panic(text):
    """What the kernel says of its panic, or None without one."""
    found = PANIC.search(text)
    return found and found[0]
