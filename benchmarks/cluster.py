"""A log in PostgreSQL beside a local one, rows with SKIP LOCKED, and Redis with WAIT.

    python -m benchmarks.cluster [--quick] [--rounds 3]

`make bench-cluster` does this. Everything runs on this machine: PostgreSQL alone, and as a
primary with two synchronous standbys of which one has each commit. In each round all are
measured in turn; figures are medians, and targets compare within the run. Results go to
`.asv/cluster.json` (`--quick`: to `.asv/quick`).
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from statistics import median

from benchmarks.processes import ROOT, import_sources

import_sources()

from benchmarks import cluster_fail_over as fail_over  # noqa: E402 - sources are found now
from benchmarks import cluster_servers as servers  # noqa: E402
from benchmarks import native  # noqa: E402
from benchmarks.cluster_rows import rows_per_s  # noqa: E402
from benchmarks.cluster_servers import (  # noqa: E402
    LOCAL,
    OURS,
    REDIS,
    ROWS_ONE,
    ROWS_THREE,
    THREE,
)
from benchmarks.peers import machine  # noqa: E402
from benchmarks.processes import end  # noqa: E402
from benchmarks.rounds import run_load  # noqa: E402
from benchmarks.table import number, times  # noqa: E402
from benchmarks.targets import Outcome  # noqa: E402

PUSHES = "PUSHB 5,000 x {i:n}"
LIVES = "push, pull, ack; batches of 1,000"
SINGLES = "PUSH, 64 connections"
LIVES_BY_50 = "the same in batches of 50"
LIVES_BY_1 = "the same one at a time, 16 threads"
RECOVERY = "start with live jobs"
OWNER = "owner killed, another stands by"
PRIMARY = "primary killed, from the promotion"
PRIMARY_ALL = "primary killed, silence in all"
MARKS = {True: "met", False: "MISSED", None: "not measured"}
PUSH_STEP = native.Step(b'{"cmd":"PUSH","queue":"q","data":{"i":123456}}\n')
LEASE_S = 3


class Sizes:
    """How much is done: quick says whether it is only to see that all runs."""

    def __init__(self, *, quick):
        tiny = os.environ.get("MAGICQUEUE_BENCH") == "tiny"
        self.core = "python" if tiny else "array"
        self.share = 0.01 if tiny else 0.1 if quick else 1.0
        self.seconds = 0.3 if tiny else 1.5 if quick else 5.0
        self.live = 5000 if tiny else 100_000 if quick else 1_000_000
        self.fail_overs = not tiny


class Found:
    """What was measured: a list of figures by case and name."""

    def __init__(self):
        self.values = {}

    def add(self, case, name, value, unit="jobs/s"):
        self.values.setdefault((case, name), []).append(value)
        print(f"  {case:40}{name:26}{_text(value, unit):>14}", flush=True)

    def middle(self, case, name):
        values = self.values.get((case, name))
        return median(values) if values else None


def _text(value, unit):
    return f"{value:,.2f} s" if unit == "s" else number(value, unit)


def measure_ours(places, sizes, found):
    """Measure each place of a log with a server of its own."""
    for name in OURS:
        process, port = servers.started(sizes.core, places.options(name))
        try:
            for case, workload in ((PUSHES, "push"), (LIVES, "mixed")):
                load = run_load(workload, "magicqueue", process.pid, port, sizes.share)
                found.add(case, name, load["jobs_per_s"])
            words = ("cycles", port, 64, 0.2, sizes.seconds, 0)
            done = native.drive(words, [PUSH_STEP], process.pid)
            found.add(SINGLES, name, done["cycles"] / done["seconds"])
        finally:
            end(process)


def measure_others(places, sizes, found, redis_port):
    """Measure rows, and Redis if it is there."""
    for name in (ROWS_ONE, ROWS_THREE):
        for case, batch, producers, workers in (
            (PUSHES, 5000, 4, 0),
            (LIVES, 1000, 4, 4),
            (LIVES_BY_50, 50, 4, 4),
            (LIVES_BY_1, 1, 8, 8),
        ):
            dsn = places.database(name)
            speed = rows_per_s(dsn, batch, sizes.seconds, producers, workers)
            found.add(case, name, speed)
    if redis_port is not None:
        found.add(PUSHES, REDIS, servers.redis_per_s(redis_port, 5000, sizes.seconds))


def measure_recovery(places, sizes, found):
    """Measure how long a start takes, and a fail-over of the owner."""
    for name in OURS:
        took_s = fail_over.recovery_s(sizes.core, places.options(name), sizes.live)
        found.add(RECOVERY, name, took_s, "s")
    if sizes.fail_overs:
        took_s = fail_over.owner_lost_s(sizes.core, places.options(THREE), sizes.live)
        found.add(OWNER, THREE, took_s, "s")


def measure_primary(sizes, found):
    """Measure a fail-over of PostgreSQL, in a cluster of its own."""
    if sizes.fail_overs:
        with servers.running(standbys=2) as cluster:
            after_s, all_s = fail_over.primary_lost_s(sizes.core, cluster, sizes.live)
        found.add(PRIMARY, THREE, after_s, "s")
        found.add(PRIMARY_ALL, THREE, all_s, "s")


def judge(found):
    """Compare with the targets."""
    yield _least(f"{PUSHES}: {THREE}", found.middle(PUSHES, THREE), 1.2e6)
    yield _least(f"{LIVES}: {THREE}", found.middle(LIVES, THREE), 0.6e6)
    yield _least(f"{SINGLES}: {THREE}", found.middle(SINGLES, THREE), 25e3)
    ours, rows = found.middle(LIVES, THREE), found.middle(LIVES, ROWS_THREE)
    ratio = ours / rows if ours and rows else None
    said = "-" if ratio is None else times(ratio)
    met = None if ratio is None else ratio >= 12
    yield Outcome("whole lives beside rows, the best batches", "at least 12x", said, met)
    yield _most(f"{OWNER} (lease {LEASE_S} s)", found.middle(OWNER, THREE), 5.0)
    yield _most(PRIMARY, found.middle(PRIMARY, THREE), 2.0)


def _least(what, value, limit):
    target = f"at least {number(limit, 'jobs/s')}"
    met = None if value is None else value >= limit
    return Outcome(what, target, number(value, "jobs/s"), met)


def _most(what, value, limit):
    said = "-" if value is None else f"{value:.2f} s"
    return Outcome(
        what, f"at most {limit:g} s", said, None if value is None else value <= limit
    )


def print_table(found, live):
    """Print medians, each beside the local log where there is one."""
    print(f"\n{'':42}{'':26}{'median':>14}{'beside local':>14}")
    for case, name in found.values:
        value, local = found.middle(case, name), found.middle(case, LOCAL)
        ratio = times(value / local) if local and name != LOCAL else ""
        text = _text(value, "s" if case in TIMES else "jobs/s")
        print(f"  {case:40}{name:26}{text:>14}{ratio:>14}")
    print(f"  (live jobs: {live:,}; lease {LEASE_S} s)")
    print("\nTargets of a log in PostgreSQL, all on this machine")
    for one in judge(found):
        print(f"  {one.what:62}{one.target:>20}{one.measured:>12}  {MARKS[one.met]}")


TIMES = (RECOVERY, OWNER, PRIMARY, PRIMARY_ALL)


def main(arguments=None):
    """Run all rounds, print the table and the targets, and store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--rounds", type=int, help="[default: 3; quick: 1]")
    options = parser.parse_args(arguments)
    sizes = Sizes(quick=options.quick)
    rounds = options.rounds or (1 if options.quick or sizes.share < 1 else 3)
    why, no_redis = servers.missing()
    if why:
        sys.exit(f"nothing can be measured: {why}")
    if no_redis:
        print(f"left out: {REDIS}: {no_redis}")
    found, began = Found(), time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        places = servers.Places(stack, folder)
        redis_port = None if no_redis else stack.enter_context(servers.redis())
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", flush=True)
            measure_ours(places, sizes, found)
            measure_others(places, sizes, found, redis_port)
            measure_recovery(places, sizes, found)
            measure_primary(sizes, found)
    print_table(found, sizes.live)
    print(f"\n{machine()}; took {(time.perf_counter() - began) / 60:.1f} minutes")
    store(found, quick=sizes.share < 1)


def store(found, *, quick):
    """Keep the figures."""
    path = ROOT / ".asv" / ("quick" if quick else "") / "cluster.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"case": case, "server": name, "values": values}
        for (case, name), values in found.values.items()
    ]
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
