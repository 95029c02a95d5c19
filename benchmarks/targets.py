"""What the array core is to reach, and whether it does: checked against each full run.

Figures are of one server process on loopback with `loadgen`. A target is a limit on one
measure, on the ratio of two, or on the array core beside the python core.
"""

from dataclasses import dataclass

from benchmarks.table import number
from benchmarks.workloads import FULL

MILLION = 1e6
SERVER = "bench_server.Server.track_"
GROWTH = "bench_growth.Growth.track_push_pull_ack"


@dataclass(frozen=True)
class Outcome:
    """A target, what was measured, and whether that is enough (None: not measured)."""

    what: str
    target: str
    measured: str
    met: bool | None


def check_targets(rows):
    """Compare rows of results with every target."""
    found = _Found(rows)
    outcomes = [
        _at_least(found, "push", 5 * MILLION),
        _at_most(f"{FULL['push'].title}, CPU", found.cpu("push"), 150, "ns/job"),
        _beside_bare(found, "push_client"),
        _beside_bare(found, "push_original"),
        *(
            _at_most(
                f"{FULL[workload].title}, kernels on warm memory",
                found.get("bench_kernels.Forms.time_pushb", form=FULL[workload].form),
                75,
                "ns/job",
            )
            for workload in ("push_client", "push_original")
        ),
        _at_least(found, "push_150", 2.5 * MILLION),
        _at_least(found, "drain", 3 * MILLION),
        _at_least(found, "drain_priorities", 1.5 * MILLION),
        _at_least(found, "singles", MILLION),
        _at_least(found, "mixed", 1.5 * MILLION),
        _beside_python(found, "server_cpu", "CPU a cycle", 1.0),
        _beside_python(found, "p99", "p99", 1.1),
        _growth(found, 1, "one priority"),
        _growth(found, 1_000, "1,000 priorities"),
        _at_most(
            "memory a queued 100-byte job",
            found.get("bench_memory.Memory.track_bytes_per_job", payload_bytes=100),
            200,
            "bytes/job",
        ),
        *_marked(found),
        _at_most(
            "longest pause at 10^7 jobs",
            found.get("bench_growth.LongestPause.track_longest_pause", depth=10_000_000),
            50,
            "ms",
        ),
    ]
    return [outcome for outcome in outcomes if outcome is not None]


class _Found:
    """Measured values by name and parameters."""

    def __init__(self, rows):
        self._values = {(row.benchmark, row.params): row.values for row in rows}

    def get(self, benchmark, core="array", **params):
        return self._values.get((benchmark, tuple(params.items())), {}).get(core)

    def server(self, measure, workload, core="array"):
        return self.get(SERVER + measure, core, workload=workload)

    def cpu(self, workload):
        return self.server("server_cpu", workload)


def _outcome(what, target, measured, value, *, met):
    known = value is not None
    return Outcome(what, target, measured if known else "-", met if known else None)


def _at_least(found, workload, limit):
    value = found.server("throughput", workload)
    return _outcome(
        FULL[workload].title,
        f"at least {number(limit, 'jobs/s')}",
        number(value, "jobs/s"),
        value,
        met=(value or 0) >= limit,
    )


def _at_most(what, value, limit, unit):
    return _outcome(
        what,
        f"at most {number(limit, unit)}",
        number(value, unit),
        value,
        met=(value or 0) <= limit,
    )


def _marked(found):
    """Compare a job with a unique key, in batches, with its targets on each core."""
    where = {"wish": "key", "batch": 100}
    return [
        _at_most(f"{what}, {core} core", found.get(name, core, **params), limit, unit)
        for core in ("array", "python")
        for what, name, params, limit, unit in (
            ("marked push", "bench_marked.Marked.track_push", where, 3_000, "ns/job"),
            ("marked exit", "bench_marked.Marked.track_exit", where, 2_000, "ns/job"),
            (
                "memory a unique key",
                "bench_marked.UniqueKeys.track_bytes_per_key",
                {},
                250,
                "bytes/job",
            ),
        )
    ]


def _beside_bare(found, workload):
    bare, other = found.cpu("push"), found.cpu(workload)
    ratio = other / bare if bare and other else None
    measured = f"{ratio:.2f}x" if ratio else "-"
    what = f"{FULL[workload].title}, CPU beside bare jobs"
    return _outcome(what, "at most 1.3x", measured, ratio, met=(ratio or 0) <= 1.3)


def _beside_python(found, measure, what, slack):
    array, python = (found.server(measure, "cycle", core) for core in ("array", "python"))
    if not array or not python:
        return None
    share = array / python
    target = "at most the python core's" + (
        f" (within {slack - 1:.0%})" if slack > 1 else ""
    )
    what = f"{FULL['cycle'].title}: {what}"
    return _outcome(what, target, f"{share:.0%} of it", share, met=share <= slack)


def _growth(found, distinct, kind):
    shallow, deep = (
        found.get(GROWTH, depth=depth, priorities=distinct)
        for depth in (10_000, 10_000_000)
    )
    ratio = deep / shallow if deep and shallow else None
    measured = f"{ratio:.2f}x" if ratio else "-"
    what = f"cost a job at 10^7 against 10^4, {kind}"
    return _outcome(what, "at most 2x", measured, ratio, met=(ratio or 0) <= 2)
