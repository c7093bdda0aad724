#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Prints the README's table, in Markdown, from the data that `make bench` has left.

    table.py FILE.json
"""

import json
import sys

# A row: what it says, and a rate or a result.
ROWS = [
    ("sealed while a direct read still wrote to the page", "rates", "false_success"),
    ("99 % of the seals beside a process that only maps and reads took at most", "results", "reader_p99"),
    ("from the release of the last pin to the return of the seal, median", "results", "release_uring_p50"),
    ("seal of 256 MiB with nothing in the way", "results", "seal_262144k"),
    ("seal of 4 KiB with nothing in the way", "results", "seal_4k"),
]


def format_time(ns):
    """Three digits."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= unit:
            value = ns / unit
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {name}"
    return f"{ns:.0f} ns"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    print(f"| Linux {data['kernel']}, measured {data['date']} | memfd | pinseal |")
    print("|---|--:|--:|")
    for text, kind, name in ROWS:
        entry = data[kind][name]
        if kind == "rates":
            cells = [f"{entry[which]} of {entry['of']}" for which in ("memfd", "pinseal")]
        else:
            cells = [format_time(entry[which]) for which in ("memfd", "pinseal")]
        print(f"| {text} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
