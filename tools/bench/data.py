#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes JSON of what bench has printed, for plots and tables.

    data.py KEY=VALUE... <OUTPUT >FILE

What is named on the command line is kept as it is: what machine, kernel and compiler these are.
Numbers are in the unit that is named with them. Samples are in ascending order.
"""

import json
import sys


def number(word):
    value = float(word)
    return int(value) if value.is_integer() else value


def read(lines):
    """The results, samples and rates."""
    results, samples, rates = {}, {}, {}
    for line in lines:
        kind, *fields = line.rstrip("\n").split("\t")
        if kind == "bench":
            name, unit, memfd, pinseal, _, what = fields
            results[name] = {
                "what": what.strip(),
                "unit": unit,
                "memfd": number(memfd),
                "pinseal": number(pinseal),
            }
        elif kind == "samples":
            name, what, unit, which, values = fields
            entry = samples.setdefault(name, {"what": what.strip(), "unit": unit})
            entry[which] = [number(value) for value in values.split(" ")]
        elif kind == "rate":
            name, what, of, memfd, pinseal = fields
            rates[name] = {
                "what": what.strip(),
                "of": int(of),
                "memfd": int(memfd),
                "pinseal": int(pinseal),
            }
    return {"results": results, "samples": samples, "rates": rates}


def main():
    # REUSE-IgnoreStart
    about = {"$comment": "SPDX-License-Identifier: GPL-2.0-only"}
    # REUSE-IgnoreEnd
    about |= dict(argument.split("=", 1) for argument in sys.argv[1:])
    data = read(sys.stdin)
    if not data["results"] and not data["rates"]:
        sys.exit("data.py: the benchmark has printed no results")
    # A sample on a line of its own would make the file unreadable.
    text = json.dumps(about | data, indent=1)
    lines, row = [], None
    for line in text.split("\n"):
        word = line.strip()
        if row is not None:
            row.append(word)
            if word.startswith("]"):
                lines.append(" ".join(row))
                row = None
        elif word.endswith("["):
            row = [line]
        else:
            lines.append(line)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
