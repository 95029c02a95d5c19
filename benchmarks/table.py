"""Print results as a table for people: a workload a line, python core, array core, ratio.

python -m benchmarks.table [results.json]
"""

import sys
from itertools import groupby

from benchmarks.results import machine_of, newest_results, read_rows

RESULTS = ".asv/results"
SECTIONS = {
    "bench_server": "Whole server over loopback",
    "bench_client": "Client and worker",
    "bench_wire": "Wire path: bytes in, bytes out, no socket",
    "bench_cores": "Verbs of the contract",
    "bench_kernels": "Kernels",
    "bench_growth": "Growth with the queue's depth",
    "bench_events": "Jobs while somebody listens, in process",
    "bench_marked": "Jobs with wishes, in process",
    "bench_memory": "Memory",
    "bench_start": "Start",
}


def number(value, unit):
    """Write a value with three digits and a unit that fits."""
    if value is None:
        return "-"
    if unit == "jobs/s":
        if value >= 1e6:
            return f"{value / 1e6:.{1 if value >= 1e7 else 2}f} M/s"
        return f"{value / 1e3:.{0 if value >= 1e5 else 1}f} k/s"
    if unit == "ns/job" and value >= 10_000:
        return f"{value / 1000:.1f} us/job"
    unit = "B/job" if unit == "bytes/job" else unit
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def times(ratio):
    """Write a ratio with two digits, or as many as its whole part has."""
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2g}x"


def label(row):
    """Name a row."""
    _, cls, method = row.benchmark.split(".")
    method = method.removeprefix("time_").removeprefix("track_")
    workload = row.param("workload")
    if workload is not None:
        return f"{workload}: {method}"
    short = {"payload_bytes": "B", "priorities": "prio", "depth": "deep"}
    words = [
        f"{value:,} {short[key]}" if key in short else str(value)
        for key, value in row.params
    ]
    return " ".join([f"{cls}.{method}", *words])


def module_of(row):
    """Give the file that a row is from."""
    return row.benchmark.split(".")[0]


def in_order(rows):
    """Sort by section; in it, keep the measures of one workload together."""
    order = list(SECTIONS)
    return sorted(
        rows,
        key=lambda row: (order.index(module_of(row)), str(row.param("workload") or "")),
    )


def print_table(rows, out=sys.stdout):
    """Print all rows, section by section."""
    for module, group in groupby(in_order(rows), key=module_of):
        print(f"\n{SECTIONS[module]}", file=out)
        print(f"  {'':44}{'python core':>15}{'array core':>15}{'ratio':>8}", file=out)
        for row in group:
            python, array = row.values.get("python"), row.values.get("array")
            ratio = "-" if row.ratio is None else f"{row.ratio:.1f}x"
            print(
                f"  {label(row):44}{number(python, row.unit):>15}"
                f"{number(array, row.unit):>15}{ratio:>8}",
                file=out,
            )


def print_targets(rows, out=sys.stdout):
    """Print what the array core is to reach, and whether it does."""
    from benchmarks.targets import check_targets  # noqa: PLC0415 - it writes numbers as we do

    marks = {True: "yes", False: "NO", None: "not measured"}
    print("\nTargets of the array core", file=out)
    for outcome in check_targets(rows):
        print(
            f"  {outcome.what:44}{outcome.target:>34}{outcome.measured:>14}  "
            f"{marks[outcome.met]}",
            file=out,
        )


def main(arguments):
    """Print the newest results, or those of the file that is named."""
    path = arguments[0] if arguments else newest_results(RESULTS)
    rows = read_rows(path)
    print(f"{machine_of(path)}; {path}")
    print_table(rows)
    print("\nratio: how many times better the array core is. ns/job: time by asv, CPU time")
    print("where the name says cpu, push_pull_ack and longest_pause.")
    print_targets(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
