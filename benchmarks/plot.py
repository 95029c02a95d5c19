"""Draw the figures of docs/benchmarks.md, as SVG and PNG, from what the runs stored.

    python -m benchmarks.plot [results.json]

Colours are Okabe and Ito's, which people with any colour vision tell apart; each bar also
says its value, so nothing is in colour alone.
"""

import json
import sys

from benchmarks.processes import ROOT
from benchmarks.results import machine_of, newest_results, read_rows
from benchmarks.table import RESULTS, number
from benchmarks.workloads import FULL

DOCS = ROOT / "docs"
PEERS = ROOT / ".asv" / "peers.json"
COLOURS = {"python": "#56B4E9", "array": "#D55E00"}
NAMES = {"python": "python core", "array": "array core"}
PEER_COLOURS = {
    "MagicQueue, array core": "#D55E00",
    "MagicQueue, python core": "#56B4E9",
    "Redis list (no ack)": "#BBBBBB",
    "Redis scripts": "#009E73",
    "beanstalkd": "#CC79A7",
}
SHOWN = [
    "push",
    "push_client",
    "push_original",
    "push_150",
    "drain",
    "drain_priorities",
    "mixed",
    "singles",
]


def new_figure(width, height, rows=1, columns=1):
    """Make a figure without a display."""
    import matplotlib as mpl  # noqa: PLC0415 - asv imports this file to look for benchmarks

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    mpl.rcParams.update(
        {
            "font.size": 10,
            "svg.fonttype": "path",
            "svg.hashsalt": "magicqueue",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained")


def save(figure, name):
    """Write both forms under docs/."""
    for suffix, options in (
        ("svg", {"metadata": {"Date": None}}),
        ("png", {"dpi": 150, "metadata": {"Software": None}}),
    ):
        figure.savefig(DOCS / f"{name}.{suffix}", facecolor="white", **options)
    print(f"drawn: docs/{name}.svg and .png")


def grouped_bars(axes, groups, series, unit, *, log=False):
    """Draw horizontal bars: groups from the top, a bar a series, each with its value.

    groups: labels. series: {name: (colour, [value or None, …])}.
    """
    height = 0.8 / len(series)
    longest = max(value for _, values in series.values() for value in values if value)
    for place, (name, (colour, values)) in enumerate(series.items()):
        ys = [
            group + (place - (len(series) - 1) / 2) * height for group in range(len(groups))
        ]
        axes.barh(ys, [value or 0 for value in values], height, color=colour, label=name)
        for y, value in zip(ys, values, strict=True):
            if value:
                at = value * 1.05 if log else value + longest * 0.008
                axes.text(at, y, number(value, unit), va="center", fontsize=8)
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    if log:
        axes.set_xscale("log")
        low = min(value for _, values in series.values() for value in values if value)
        axes.set_xlim(low / 2, longest * 4)
    else:
        axes.set_xlim(0, longest * 1.17)


def draw_server(rows, machine):
    """Throughput and CPU time of the whole server, the cores side by side."""
    measures = {}
    for row in rows:
        if row.benchmark.startswith("bench_server."):
            method = row.benchmark.rpartition(".")[2]
            measures[method, row.param("workload")] = row.values
    if not measures:
        return
    figure, (left, right) = new_figure(13, 5.2, 1, 2)
    titles = [FULL[name].title for name in SHOWN]

    def series(method):
        return {
            NAMES[core]: (
                COLOURS[core],
                [measures.get((method, name), {}).get(core) for name in SHOWN],
            )
            for core in ("array", "python")
        }

    grouped_bars(left, titles, series("track_throughput"), "jobs/s")
    left.set_xlabel("jobs per second, millions (longer is better)")
    left.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}")
    grouped_bars(right, titles, series("track_server_cpu"), "ns/job", log=True)
    right.set_yticklabels([])
    right.set_xlabel("server CPU time a job, ns, log scale (shorter is better)")
    figure.suptitle(f"One server process over loopback: {machine}", fontsize=12)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    save(figure, "benchmark-server")


def draw_growth(rows, machine):
    """Cost a job against the jobs queued."""
    lines = {}
    for row in rows:
        if row.benchmark.endswith("Growth.track_push_pull_ack"):
            for core, value in row.values.items():
                points = lines.setdefault((core, row.param("priorities")), [])
                points.append((row.param("depth"), value))
    if not lines:
        return
    figure, axes = new_figure(8, 4.8)
    top = 0
    for (core, distinct), points in sorted(lines.items()):
        depths, values = zip(*sorted(points), strict=True)
        top = max(top, *values)
        many = distinct > 1
        kind = f"{distinct:,} priorities" if many else "one priority"
        axes.plot(
            depths,
            values,
            color=COLOURS[core],
            marker="s" if many else "o",
            linestyle="--" if many else "-",
            label=f"{NAMES[core]}, {kind}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(10, top * 2)
    axes.set_xlabel("jobs queued")
    axes.set_ylabel("CPU time for push + pull + ack of a job, ns")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(alpha=0.25, which="both")
    axes.set_title(f"What a job costs as the queue grows\n{machine}", fontsize=11)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    save(figure, "benchmark-growth")


def draw_peers(stored):
    """Our cores beside other servers, throughput on a log scale."""
    names = [name for name in PEER_COLOURS if name in stored["servers"]]
    workloads = [name for name in FULL if f"{name}|{names[0]}" in stored["medians"]]
    figure, axes = new_figure(10, 1.2 + 0.95 * len(workloads))
    series = {
        name: (
            PEER_COLOURS[name],
            [
                (stored["medians"].get(f"{workload}|{name}") or {}).get("jobs_per_s")
                for workload in workloads
            ],
        )
        for name in names
    }
    titles = [FULL[name].title for name in workloads]
    grouped_bars(axes, titles, series, "jobs/s", log=True)
    axes.set_xlabel("jobs per second, log scale (longer is better); all in memory only")
    axes.set_title(f"MagicQueue and peers: {stored['machine']}", fontsize=11)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save(figure, "benchmark-peers")


def main(arguments):
    """Draw from the newest results, or those of the file that is named."""
    path = arguments[0] if arguments else newest_results(RESULTS)
    rows, machine = read_rows(path), machine_of(path)
    draw_server(rows, machine)
    draw_growth(rows, machine)
    if PEERS.exists():
        draw_peers(json.loads(PEERS.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
