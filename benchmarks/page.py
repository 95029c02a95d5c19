"""Write docs/benchmark-figures.md: the tables of the last full runs, as Markdown.

    python -m benchmarks.page

The page is made from what the runs stored, so no figure is ever copied by hand.
"""

import json
from itertools import groupby

from benchmarks.peers import ABOUT
from benchmarks.plot import PEERS
from benchmarks.processes import ROOT
from benchmarks.results import find_results, machine_of, read_rows
from benchmarks.table import RESULTS, SECTIONS, in_order, label, module_of, number, times
from benchmarks.targets import check_targets
from benchmarks.user_cases import CASES
from benchmarks.users import USERS_FILE, cells, head_of
from benchmarks.workloads import FULL

PAGE = ROOT / "docs" / "benchmark-figures.md"
OPERATORS = ROOT / ".asv" / "operators.json"
_HEAD = """# Figures

Made by `make bench`, `make bench-users` and `make bench-peers`; don't edit. What is
measured and how to read it stands in [benchmarks.md](benchmarks.md).
"""


def as_table(head, lines):
    """Write a Markdown table; all columns but the first are flush right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def users_part(stored):
    """Write what users see: the targets, then the figures of each case."""
    marks = {True: "yes", False: "**no**", None: "not measured"}
    keys = "what", "target", "measured"
    lines = [[row[key] for key in keys] + [marks[row["met"]]] for row in stored["targets"]]
    about = (
        f"{stored['machine']}; medians of {stored['rounds']} rounds in turn, of ratios too"
        " (their spread in brackets). The floor is an epoll server in C that sends the same"
        " bytes and does nothing else."
    )
    parts = [
        f"## What users see\n\n{about}",
        as_table(["", "target", "measured", "met"], lines),
    ]
    for key, servers in stored["figures"].items():
        case = CASES[key]
        lines = [[name, *cells(case, found)] for name, found in servers.items()]
        parts.append(f"### {case.title}\n\n{as_table(['', *head_of(case)], lines)}")
    return "\n\n".join(parts)


def targets_part(rows):
    """Write the targets."""
    marks = {True: "yes", False: "**no**", None: "not measured"}
    lines = [
        [outcome.what, outcome.target, outcome.measured, marks[outcome.met]]
        for outcome in check_targets(rows)
    ]
    return "## Targets of the array core\n\n" + as_table(
        ["", "target", "measured", "met"], lines
    )


def cores_part(rows):
    """Write a table for each benchmark file."""
    parts = []
    for module, group in groupby(in_order(rows), key=module_of):
        lines = [
            [
                label(row),
                number(row.values.get("python"), row.unit),
                number(row.values.get("array"), row.unit),
                "-" if row.ratio is None else f"{row.ratio:.1f}x",
            ]
            for row in group
        ]
        table = as_table(["", "python core", "array core", "ratio"], lines)
        parts.append(f"## {SECTIONS[module]}\n\n{table}")
    return "\n\n".join(parts)


def peers_part(stored):
    """Write a table for each workload, and what each server promises."""
    parts = [
        f"## Peers\n\n{stored['machine']}; medians of {stored['rounds']} rounds in turn."
    ]
    lines = [[name, ABOUT[name]] for name in stored["servers"]]
    parts.append(as_table(["", "jobs are kept in"], lines))
    medians = stored["medians"]
    head = ["", "jobs/s", "CPU a job", "p50", "p99", "speed ratio", "CPU ratio"]
    for workload, about in FULL.items():
        ours = medians.get(f"{workload}|{stored['servers'][0]}")
        if ours is None:
            continue  # the workload is newer than the figures
        lines = [
            [name, *_figures(medians.get(f"{workload}|{name}"), ours)]
            for name in stored["servers"]
        ]
        parts.append(f"### {about.title}\n\n{as_table(head, lines)}")
    return "\n\n".join(parts)


def _figures(found, ours):
    if found is None:
        return ["-"] * 6
    return [
        number(found["jobs_per_s"], "jobs/s"),
        number(found["server_cpu_ns"], "ns/job"),
        *(f"{found[key]:,.0f} us" if found[key] else "-" for key in ("p50_us", "p99_us")),
        times(ours["jobs_per_s"] / found["jobs_per_s"]),
        times(found["server_cpu_ns"] / ours["server_cpu_ns"]),
    ]


def operators_part(stored):
    """Write what operators ask of a server, each figure beside its target."""
    marks = {True: "yes", False: "**no**"}
    lines = [[*row[:3], marks[row[3]] if row[2] != "-" else "-"] for row in stored["rows"]]
    about = f"{stored['machine']}; {stored['about']}: `{stored['command']}`."
    table = as_table(["", "measured", "target", "met"], lines)
    return f"## What operators ask\n\n{about}\n\n{table}"


def main():
    """Write the page from whatever has been stored."""
    parts = [_HEAD.rstrip()]
    path = find_results(ROOT / RESULTS)
    rows = read_rows(path) if path else []
    if USERS_FILE.exists():
        parts.append(users_part(json.loads(USERS_FILE.read_text())))
    if rows:
        parts += [f"Cores: {machine_of(path)}.", targets_part(rows)]
    if OPERATORS.exists():
        parts.append(operators_part(json.loads(OPERATORS.read_text())))
    if PEERS.exists():
        parts.append(peers_part(json.loads(PEERS.read_text())))
    if rows:
        parts.append(cores_part(rows))
    PAGE.write_text("\n\n".join(parts) + "\n")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
