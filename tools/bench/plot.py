#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Draws plots of the data that `make bench` has left.

    plot.py FILE.json FOLDER

FOLDER gets an SVG for each plot whose measurements are in the file.
"""

import io
import json
import math
import os
import re
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot, ticker  # noqa: E402

KINDS = {"memfd": "#c44e1a", "pinseal": "#1f5fa8"}
# REUSE-IgnoreStart
LICENCE = "<!-- SPDX-License-Identifier: GPL-2.0-only -->"
# REUSE-IgnoreEnd
# Of the normal distribution: 95 % are within so many deviations.
WITHIN_95 = 1.96


def format_time(ns, _=None):
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= unit:
            return f"{ns / unit:g} {name}"
    return f"{ns:g} ns"


def format_bytes(size, _=None):
    return f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"


class Plot:
    """A figure, which is written when it ends. What the machine was is below it."""

    def __init__(self, data, folder, name, size=(7, 4), columns=1):
        self._path = os.path.join(folder, f"{data['kernel']}-{name}.svg")
        self._about = f"Linux {data['kernel']}, {data['cpu']}, {data['cpus']} CPUs; {data['date']}"
        self._figure, self._axes = pyplot.subplots(1, columns, figsize=size, layout="constrained")

    def __enter__(self):
        return self._axes

    def __exit__(self, kind, *_):
        if kind is None:
            self._figure.supxlabel(self._about, fontsize=7, color="#666666")
            text = io.StringIO()
            self._figure.savefig(text, metadata={"Date": None})
            first, *lines = [line.rstrip() for line in text.getvalue().splitlines()]
            with open(self._path, "w", encoding="utf-8") as file:
                file.write("\n".join([first, LICENCE, *lines]) + "\n")
        pyplot.close(self._figure)


def begin(axes, title):
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def distribution(samples, axes, title, label):
    """How many of the samples were within a time."""
    begin(axes, title)
    for kind, colour in KINDS.items():
        values = samples[kind]
        shares = [100 * (i + 1) / len(values) for i in range(len(values))]
        axes.step(values, shares, where="post", color=colour, label=f"{kind} ({len(values)})")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(format_time))
    axes.set_xlabel(label)
    axes.set_ylabel("of all seals, %")
    axes.set_ylim(0, 102)
    axes.legend(frameon=False, loc="lower right")


def returns(data, axes):
    distribution(data["samples"]["release_uring"], axes, "When a seal returns after the last pin is gone",
                 "time from the release of an io_uring buffer to the return of the seal")


def reader(data, axes):
    distribution(data["samples"]["reader"], axes, "Sealing while a harmless reader maps the memory",
                 "time of a seal of 64 KiB; the reader maps read-only and should make no difference")


def crossover(sizes, times):
    """The size from which on pinseal takes less, between the measured ones; None if there is none."""
    for i in range(len(sizes) - 1, 0, -1):
        before, after = (math.log(times["pinseal"][j] / times["memfd"][j]) for j in (i - 1, i))
        if after > 0:
            return None
        if before > 0:
            share = before / (before - after)
            return math.exp(math.log(sizes[i - 1]) * (1 - share) + math.log(sizes[i]) * share)
    return None


def clean_seals(data, axes):
    """The time of a seal against the size; where pinseal takes longer is shaded."""
    begin(axes, "A seal without anything in the way")
    found = {
        int(match[1]) * 1024: result
        for name, result in data["results"].items()
        if (match := re.fullmatch(r"seal_(\d+)k", name)) and int(match[1])
    }
    sizes = sorted(found)
    times = {kind: [found[size][kind] for size in sizes] for kind in KINDS}
    for kind, colour in KINDS.items():
        axes.plot(sizes, times[kind], "o-", markersize=4, color=colour, label=kind)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    losses = [pinseal > memfd for pinseal, memfd in zip(times["pinseal"], times["memfd"])]
    axes.fill_between(sizes, times["memfd"], times["pinseal"], where=losses, interpolate=True,
                      color=KINDS["memfd"], alpha=0.12, linewidth=0, label="pinseal takes longer")
    meet = crossover(sizes, times)
    if meet:
        axes.axvline(meet, color="#666666", linewidth=0.8, linestyle=":")
        axes.annotate(f"from {meet / 2**20:.0f} MiB on pinseal takes less", (meet, min(times["memfd"])),
                      xytext=(-4, 0), textcoords="offset points", ha="right", fontsize=8)
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(format_bytes))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(format_time))
    axes.set_xlabel("size, filled by the sealer's CPU")
    axes.set_ylabel("median time")
    axes.legend(frameon=False, loc="upper left")


def wilson(happened, of):
    """The bounds of the share, in percent, with 95 % confidence (Wilson's interval)."""
    share, z = happened / of, WITHIN_95
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return [100 * max(0, (middle + sign * half) / (1 + z * z / of)) for sign in (-1, 1)]


def false_successes(data, axes):
    """How many seals succeeded while a device could still write, with confidence intervals."""
    begin(axes, "Sealed while a direct read still writes to the page")
    rate = data["rates"]["false_success"]
    bounds = {kind: wilson(rate[kind], rate["of"]) for kind in KINDS}
    for at, (kind, colour) in enumerate(KINDS.items()):
        share = 100 * rate[kind] / rate["of"]
        low, high = bounds[kind]
        axes.barh(at, share, color=colour, height=0.5)
        axes.errorbar(share, at, xerr=[[share - low], [high - share]], color="#222222", capsize=4)
        axes.annotate(f"{rate[kind]} of {rate['of']}", (high, at), xytext=(6, 0),
                      textcoords="offset points", va="center", fontsize=9)
    axes.set_xlim(0, max(10, 1.25 * max(high for _, high in bounds.values())))
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.set_ylim(len(KINDS) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel("of all seals, % (lines: 95 % confidence)")


# The measurement that each needs.
PLOTS = {
    "returns": (returns, "samples", "release_uring", (7, 4)),
    "reader": (reader, "samples", "reader", (7, 4)),
    "seal": (clean_seals, "results", "seal_4k", (7, 4)),
    "false-success": (false_successes, "rates", "false_success", (7, 2.2)),
}
OVERVIEW = ["false-success", "returns"]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    folder = sys.argv[2]
    matplotlib.rcParams["svg.hashsalt"] = "pinseal"
    matplotlib.rcParams["font.size"] = 9
    # Text that can be found, in place of outlines.
    matplotlib.rcParams["svg.fonttype"] = "none"
    there = [name for name, (_, kind, needs, _) in PLOTS.items() if needs in data[kind]]
    for name in there:
        draw, _, _, size = PLOTS[name]
        with Plot(data, folder, name, size) as axes:
            draw(data, axes)
    if all(name in there for name in OVERVIEW):
        with Plot(data, folder, "overview", (11, 3.2), len(OVERVIEW)) as all_axes:
            for name, axes in zip(OVERVIEW, all_axes):
                PLOTS[name][0](data, axes)


if __name__ == "__main__":
    main()
