"""What users do, case by case, and what is to be reached beside what: data only.

A *case* is what a generator does with some servers in turn. A *target* compares one measure
of a server with another's in the same rounds. Floor is `floor.c`: the same bytes by epoll
in C, nothing parsed and nothing kept.

The Rust original that this project follows is not at hand, so its figures are constants:
measured once beside a floor and our own servers, on a machine of this kind. What is
compared is how many times the floor each costs. For CPU that floor was not `floor.c` but
one that cost some times as much a job in large batches: those rows name its cost, and ours
stands in the tables. By as much as they differ, a limit is stricter than it looks.
"""

from dataclasses import dataclass

from benchmarks.workloads import sized

FLOOR = "floor"
ARRAY, PYTHON = "array", "python"
EVERYSEC, ALWAYS = "array everysec", "array always"
STREAMS, SCRIPTS, REDIS_ALWAYS = "Redis Streams", "Redis lean scripts", "Redis always"
BEANSTALKD = "beanstalkd"
APPEND = "append + fdatasync"
MORE_CLIENTS = "our client, asyncio"
OURS, GREENSTALK = "our client", "greenstalk"

SECONDS = sized(1.0, 0.3, 0.05)


@dataclass(frozen=True, kw_only=True)
class Case:
    """steps: method of a dialect, and what it is given. jobs: in one pass of the steps."""

    title: str
    steps: tuple
    servers: tuple
    connections: int = 1
    jobs: int = 1
    jobs_max: int = 0
    """0: for some time. Else so many jobs, which are there before if they are pulled."""
    way: str = "cycles"
    """How it is measured: a function of `users`."""
    unit: str = "requests/s"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A limit on a measure of a server, as a multiple of another's or (None) by itself."""

    case: str
    server: str
    measure: str
    at_most: float | None = None
    at_least: float | None = None
    beside: str | None = FLOOR
    source: str = ""
    """Where a limit comes from that the case does not say."""


_ALL = (FLOOR, ARRAY, EVERYSEC, ALWAYS, PYTHON, REDIS_ALWAYS)
_ONE = (FLOOR, ARRAY, EVERYSEC, ALWAYS, APPEND, PYTHON)
_CYCLE = (FLOOR, ARRAY, PYTHON, BEANSTALKD, STREAMS, SCRIPTS)
_BOTH = (FLOOR, ARRAY, PYTHON)
_FEW = sized(400_000, 100_000, 2_000)
_FEWER = sized(100_000, 25_000, 500)
_BATCH, _TAKEN = sized(5000, 5000, 100), sized(1000, 1000, 50)

CASES = {
    "push_64": Case(
        title="64 connections, PUSH", steps=("push",), servers=_ALL, connections=64
    ),
    "push_64_original": Case(
        title="the same in the original's form",
        steps=("push", "original"),
        servers=_BOTH,
        connections=64,
    ),
    "push_1000": Case(
        title="1,000 connections, PUSH",
        steps=("push",),
        servers=_ALL,
        connections=sized(1000, 1000, 100),
    ),
    "push_1": Case(title="1 connection, PUSH awaited", steps=("push",), servers=_ONE),
    "cycle_1": Case(
        title="1 connection, PUSH→PULL→ACK",
        steps=("cycle",),
        servers=_CYCLE,
        unit="jobs/s",
    ),
    "cycle_64": Case(
        title="64 connections, PUSH→PULL→ACK",
        steps=("cycle",),
        servers=_CYCLE,
        connections=64,
        unit="jobs/s",
    ),
    "take_50_1": Case(
        title="1 connection, PULLB 50 + ACKB 50",
        steps=("take_batch", 50),
        servers=_BOTH,
        jobs=50,
        jobs_max=_FEW,
        unit="jobs/s",
    ),
    "take_50_4": Case(
        title="4 connections, PULLB 50 + ACKB 50",
        steps=("take_batch", 50),
        servers=_BOTH,
        connections=4,
        jobs=50,
        jobs_max=_FEW,
        unit="jobs/s",
    ),
    "push_5000_1": Case(
        title="1 connection, PUSHB 5,000, original's form",
        steps=("push_batch", _BATCH, 0, "original"),
        servers=_BOTH,
        jobs=_BATCH,
        jobs_max=_FEW,
        unit="jobs/s",
    ),
    "push_5000_4": Case(
        title="4 connections, PUSHB 5,000, original's form",
        steps=("push_batch", _BATCH, 0, "original"),
        servers=_BOTH,
        connections=4,
        jobs=_BATCH,
        jobs_max=_FEW,
        unit="jobs/s",
    ),
    "push_150": Case(
        title="1 connection, PUSHB 5,000 x 150 bytes",
        steps=("push_batch", _BATCH, 150, "original"),
        servers=_BOTH,
        jobs=_BATCH,
        jobs_max=_FEWER,
        unit="jobs/s",
    ),
    "take_1000_1": Case(
        title="1 connection, PULLB 1,000 + ACKB",
        steps=("take_batch", _TAKEN),
        servers=_BOTH,
        jobs=_TAKEN,
        jobs_max=_FEW,
        unit="jobs/s",
    ),
    "take_1000_4": Case(
        title="4 connections, PULLB 1,000 + ACKB",
        steps=("take_batch", _TAKEN),
        servers=_BOTH,
        connections=4,
        jobs=_TAKEN,
        jobs_max=_FEW,
        unit="jobs/s",
    ),
    "push_1000_4": Case(
        title="4 connections, PUSHB 1,000",
        steps=("push_batch", _TAKEN),
        servers=(ARRAY, EVERYSEC),
        connections=4,
        jobs=_TAKEN,
        jobs_max=sized(1_000_000, 200_000, 2_000),
        unit="jobs/s",
    ),
    "woken": Case(
        title="PUSH to start of a waiting consumer",
        steps=("woken",),
        servers=(ARRAY, PYTHON, BEANSTALKD, STREAMS),
        jobs_max=sized(300, 100, 10),
        way="woken",
        unit="jobs/s",
    ),
    "client_push": Case(
        title="Python client, awaited push",
        steps=("awaited_push",),
        servers=(OURS, MORE_CLIENTS, GREENSTALK),
        jobs_max=sized(10_000, 3_000, 50),
        way="client",
        unit="jobs/s",
    ),
    "client_latency": Case(
        title="Python client, push to an idle worker's handler",
        steps=("latency",),
        servers=(OURS, MORE_CLIENTS, GREENSTALK),
        jobs_max=sized(300, 100, 10),
        way="client",
        unit="jobs/s",
    ),
    "memory": Case(
        title="memory 1 s after a drain of 5 M",
        steps=(),
        servers=(ARRAY, PYTHON),
        jobs_max=sized(5_000_000, 500_000, 5_000),
        way="memory",
        unit="",
    ),
}

_ORIGINAL_CPU_NS = {
    "push_5000_1": (1719, 27),
    "push_5000_4": (1762, 31),
    "push_150": (1900, 120),
    "take_1000_1": (1132, 67),
    "take_1000_4": (1406, 74),
    "take_50_1": (1708, 896),
    "take_50_4": (1956, 786),
}
"""CPU a job of the original, and of another floor than `floor.c`, in the same rounds."""
_ORIGINAL_CYCLES = {"cycle_1": 8.5 / 11.5, "cycle_64": 24.8 / 29}
"""Throughput of the original beside the C floor's, measured once in the same rounds."""


def _pushes(case):
    return [
        Target(case=case, server=ARRAY, measure="cpu_us", at_most=1.4),
        Target(case=case, server=ARRAY, measure="per_s", at_least=0.8),
        Target(case=case, server=PYTHON, measure="cpu_us", at_most=2.2),
        Target(case=case, server=EVERYSEC, measure="cpu_us", at_most=1.7),
        Target(
            case=case, server=ALWAYS, measure="per_s", at_least=1.0, beside=REDIS_ALWAYS
        ),
    ]


def _cycles(case):
    return [
        Target(
            case=case,
            server=ARRAY,
            measure="per_s",
            at_least=1.3 * _ORIGINAL_CYCLES[case],
            source=f"1.3 x the original's {_ORIGINAL_CYCLES[case]:.2f}",
        ),
        Target(case=case, server=ARRAY, measure="per_s", at_least=1.0, beside=BEANSTALKD),
    ]


TARGETS = [
    *_pushes("push_64"),
    *_pushes("push_1000"),
    Target(case="push_64_original", server=ARRAY, measure="cpu_us", at_most=1.4),
    Target(case="push_64_original", server=PYTHON, measure="cpu_us", at_most=2.2),
    Target(case="push_1", server=ARRAY, measure="p50_us", at_most=1.15),
    Target(case="push_1", server=EVERYSEC, measure="p50_us", at_most=1.4),
    Target(case="push_1", server=ALWAYS, measure="p50_us", at_most=1.5, beside=APPEND),
    *_cycles("cycle_1"),
    *_cycles("cycle_64"),
    Target(case="take_50_1", server=ARRAY, measure="cpu_us", at_most=1.35),
    Target(case="take_50_4", server=ARRAY, measure="cpu_us", at_most=1.35),
    Target(case="woken", server=ARRAY, measure="p50_us", at_most=1.2, beside=BEANSTALKD),
    Target(
        case="client_push", server=OURS, measure="per_s", at_least=1.0, beside=GREENSTALK
    ),
    Target(
        case="client_latency",
        server=OURS,
        measure="p50_us",
        at_most=1.2,
        beside=GREENSTALK,
    ),
    *(
        Target(
            case=case,
            server=PYTHON,
            measure="cpu_us",
            at_most=original / floor / 0.9,
            source=f"the original's {original:,} ns / 0.9, its floor another: {floor} ns",
        )
        for case, (original, floor) in _ORIGINAL_CPU_NS.items()
    ),
    Target(
        case="push_1000_4", server=EVERYSEC, measure="per_s", at_least=0.8, beside=ARRAY
    ),
    Target(case="memory", server=ARRAY, measure="kept", at_most=0.25, beside=None),
]
