"""What users see: single commands on many connections, logs, clients, pauses; with targets.

    python -m benchmarks.users [--rounds 5] [--cases push,cycle]

`make bench-users` does this, and `make bench` too. In each round every case is measured on
each of its servers in turn, with a spinner on each CPU; a target compares two of them by
the median of the rounds' ratios. What is measured is in `user_cases`, who is sent what in
`user_dialects`. Results go to `.asv/users.json` (those of `MAGICQUEUE_BENCH=quick` to
`.asv/quick`), from which the page is written.
"""

import argparse
import contextlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import user_cases as names
from benchmarks.peers import machine
from benchmarks.processes import ROOT
from benchmarks.spinners import spinners
from benchmarks.targets import Outcome
from benchmarks.user_pauses import measure_pauses
from benchmarks.user_servers import Servers
from benchmarks.user_ways import WAYS
from benchmarks.workloads import QUICK, TINY, sized

USERS_FILE = ROOT / ".asv" / ("quick" if QUICK or TINY else "") / "users.json"
ROUNDS = sized(5, 1, 1)
ONCE = ("memory",)
"""Ways that are steady and slow, and so are gone in the first round only."""
MEASURES = {"cpu_us": "server CPU", "per_s": "throughput", "p50_us": "p50", "kept": "kept"}
MARKS = {True: "met", False: "MISSED", None: "not measured"}


def measure(cases, rounds, servers, say):
    """Run all; gives {(case, server): [figures, one a round]}, and why some are missing."""
    runs, lacking = {}, {}
    for number in range(rounds):
        for key, case in cases.items():
            if case.way in ONCE and number:
                continue
            for name in case.servers:
                why = servers.missing(name)
                if why is not None:
                    lacking[key, name] = why
                    continue
                found = WAYS[case.way](case, name, servers)
                runs.setdefault((key, name), []).append(found)
                say(f"  round {number + 1}  {case.title:48}{name:20}{text_of(found)}")
    return runs, lacking


def text_of(found):
    """Write one run's figures in a line."""
    return "  ".join(f"{name} {value:,.2f}" for name, value in found.items())


def judge(runs, lacking):
    """Compare with every target whose case was run."""
    measured = {key for key, _ in [*runs, *lacking]}
    return [_outcome(t, runs, lacking) for t in names.TARGETS if t.case in measured]


def _outcome(target, runs, lacking):
    limit = target.at_least if target.at_most is None else target.at_most
    word = "at least" if target.at_most is None else "at most"
    beside = "" if target.beside is None else f" x {target.beside}"
    source = f" ({target.source})" if target.source else ""
    what = f"{names.CASES[target.case].title}: {target.server}, {MEASURES[target.measure]}"
    said = f"{word} {limit:.2f}{beside}{source}"
    pair = (target.case, target.server), (target.case, target.beside or target.server)
    why = next((lacking[key] for key in pair if key in lacking), None)
    if why is not None:
        return Outcome(what, said, why, None)
    if not all(key in runs for key in pair):
        return Outcome(what, said, "-", None)
    values, others = ([found[target.measure] for found in runs[key]] for key in pair)
    if target.beside is not None:
        values = [
            value / max(other, 1e-9) for value, other in zip(values, others, strict=True)
        ]
    ratio = median(values)
    met = ratio <= limit if target.at_most is not None else ratio >= limit
    spread = f" [{min(values):.2f}-{max(values):.2f}]" if len(values) > 1 else ""
    return Outcome(what, said, f"{ratio:.2f}{spread}", met)


def figures_of(runs, lacking):
    """Give what is stored of each case: the medians of each server, or what it lacks."""
    stored = {}
    for (key, name), results in runs.items():
        found = {part: median(result[part] for result in results) for part in results[0]}
        stored.setdefault(key, {})[name] = found
    for (key, name), why in lacking.items():
        stored.setdefault(key, {})[name] = why
    return stored


COLUMNS = (
    ("per_s", "{:,.0f}"),
    ("cpu_us", "{:,.1f} us"),
    ("p50_us", "{:,.0f} us"),
    ("p99_us", "{:,.0f} us"),
    ("p999_us", "{:,.0f} us"),
)


def cells(case, found):
    """Write a server's figures as the cells of a table."""
    if isinstance(found, str):
        return [found, *["-"] * (len(COLUMNS) - 1)]
    if "kept" in found:
        text = f"{found['peak_mb']:,.0f} MB, then {found['after_mb']:,.0f}"
        return [text, *["-"] * (len(COLUMNS) - 1)]
    texts = [form.format(found[part]) if part in found else "-" for part, form in COLUMNS]
    if case.jobs > 1:
        texts[1] = f"{found['cpu_us'] * 1000:,.0f} ns"
    return texts


def head_of(case):
    """Name the columns of a case: CPU is of a request, or of a job in a batch."""
    each = "job" if case.jobs > 1 else "request"
    return [case.unit, f"CPU a {each}", "p50", "p99", "p99.9"]


def print_all(stored):
    """Print the figures, then the targets."""
    for key, servers in stored["figures"].items():
        case = names.CASES[key]
        print(f"\n{case.title:50}" + "".join(f"{text:>18}" for text in head_of(case)))
        for name, found in servers.items():
            print(f"  {name:48}" + "".join(f"{text:>18}" for text in cells(case, found)))
    print(
        f"\nTargets; {stored['machine']}; ratios are medians of {stored['rounds']} rounds"
    )
    for outcome in stored["targets"]:
        print(
            f"  {outcome['what']:76}{outcome['target']:78}{outcome['measured']:24}"
            f"{MARKS[outcome['met']]}"
        )


def main(arguments=None):
    """Measure, judge, store, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.users")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cases", default="", help="how their names begin, with commas")
    parser.add_argument("--no-pauses", action="store_true", help="they take 5 minutes")
    parser.add_argument("--folder", type=Path, help="where logs go: a disk, not memory")
    options = parser.parse_args(arguments)
    wanted = tuple(options.cases.split(","))
    cases = {key: case for key, case in names.CASES.items() if key.startswith(wanted)}
    with (
        contextlib.ExitStack() as stack,
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        spinners(),
    ):
        servers = Servers(stack, folder)
        runs, lacking = measure(
            cases, options.rounds, servers, say=lambda text: print(text, flush=True)
        )
        stack.close()  # before their folder goes
        outcomes = judge(runs, lacking)
        if not options.no_pauses:
            outcomes += measure_pauses()
    stored = {
        "machine": machine(),
        "rounds": options.rounds,
        "figures": figures_of(runs, lacking),
        "targets": [asdict(outcome) for outcome in outcomes],
    }
    USERS_FILE.parent.mkdir(parents=True, exist_ok=True)
    USERS_FILE.write_text(json.dumps(stored, indent=1))
    print_all(stored)
    if not (QUICK or TINY):
        from benchmarks import page  # noqa: PLC0415 - page imports this module

        page.main()


if __name__ == "__main__":
    main()
