"""Families of metrics beside counts of jobs: limits, the log, deaths, what is kept."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final, Protocol

from magicqueue_cores.policies import Policies, PolicyStats
from magicqueue_cores.policies.crons import CronStats
from magicqueue_server.wal.journal import StoreFacts
from magicqueue_server.wal.persistence import LogFacts
from magicqueue_server.wal.sync_times import BOUNDS_S

_KEPT: Final = ("unique_keys", "windows", "req_keys", "results")
_TICKS: Final = ("fired", "skipped", "missed", "refused")
_DROPPED: Final = ("windows", "req_keys", "results", "progress")


class Writer(Protocol):
    """Takes families and their samples."""

    def family(self, name: str, kind: str, text: str) -> None:
        """Begin one."""

    def add(
        self, labels: Iterable[tuple[str, str]], value: float, suffix: str = ""
    ) -> None:
        """Add a sample of it."""


def write_log(out: Writer, log: LogFacts | None) -> None:
    """Tell how large the log is and how long it takes to be safe, if there is one."""
    if log is None:
        return
    out.family("magicqueue_wal_bytes", "gauge", "What the log takes on the disk.")
    out.add((), log.used_bytes)
    out.family(
        "magicqueue_wal_live_bytes", "gauge", "What of it would have to be written again."
    )
    out.add((), log.live_bytes)
    out.family(
        "magicqueue_wal_sync_duration_seconds",
        "histogram",
        "How long the disk took to make the log safe.",
    )
    write_histogram(out, (), BOUNDS_S, log.sync_counts, log.sync_s)
    if log.store is not None:
        _write_store(out, log.store)


def _write_store(out: Writer, store: StoreFacts) -> None:
    """Tell how a log in an engine beyond this machine is."""
    out.family("magicqueue_store_info", "gauge", "Where the log is, and its owner; 1.")
    out.add((("place", store.place), ("owner", store.owner)), 1)
    for name, kind, text, value in (
        ("epoch", "gauge", "The owner's; each taking over makes it one more.", store.epoch),
        ("chunks", "gauge", "Chunks that the log has ever had.", store.chunks),
        (
            "quiet_seconds",
            "gauge",
            "Since the store last answered that this server is the owner.",
            store.quiet_ms / 1000,
        ),
        (
            "unclear_answers_total",
            "counter",
            "Calls of the store whose outcome had to be found out.",
            store.unclear,
        ),
        (
            "appended_bytes_total",
            "counter",
            "Bytes of log that the store took.",
            store.appended_bytes,
        ),
    ):
        out.family(f"magicqueue_store_{name}", kind, text)
        out.add((), value)


def write_histogram(
    out: Writer,
    labels: Sequence[tuple[str, str]],
    bounds: Sequence[float],
    counts: Sequence[int],
    total: float,
) -> None:
    """Add the samples of a histogram. counts: up to each bound, and beyond the last."""
    sums = list(accumulate(counts))
    for bound, number in zip((*map(str, bounds), "+Inf"), sums, strict=True):
        out.add((*labels, ("le", bound)), number, "_bucket")
    out.add(labels, total, "_sum")
    out.add(labels, sums[-1], "_count")


def write_deaths(out: Writer, deaths: Mapping[str, int]) -> None:
    """Tell how many jobs died, by what of."""
    out.family("magicqueue_jobs_died_total", "counter", "Jobs that became dead letters.")
    for reason, number in sorted(deaths.items()):
        out.add((("reason", reason),), number)


def write_limits(
    out: Writer, policies: Policies | None, queues: Sequence[str], now_ms: int
) -> None:
    """Tell what of queues is limited, and how long those that are throttled wait."""
    if policies is None:
        return
    stats, limits = policies.stats(), policies.limits
    if not stats.limited and not stats.throttled:
        return
    rules = [(queue, limits.rule_of(queue)) for queue in queues]
    out.family(
        "magicqueue_queue_limit_concurrency", "gauge", "How many jobs may be at work."
    )
    for queue, rule in rules:
        if rule.concurrency is not None:
            out.add((("queue", queue),), rule.concurrency)
    out.family(
        "magicqueue_queue_limit_jobs_per_second", "gauge", "How many may be handed out."
    )
    for queue, rule in rules:
        if rule.rate is not None:
            out.add((("queue", queue),), rule.rate.jobs * 1000 / rule.rate.per_ms)
    out.family(
        "magicqueue_queue_throttled_seconds",
        "gauge",
        "For how long no job is handed out yet.",
    )
    for queue in queues:
        until_ms = limits.throttled_until_ms(queue)
        if until_ms is not None and until_ms > now_ms:
            out.add((("queue", queue),), (until_ms - now_ms) / 1000)


def write_crons(out: Writer, stats: CronStats) -> None:
    """Tell how many crons there are, and what became of their ticks."""
    out.family("magicqueue_crons", "gauge", "Schedules that are known.")
    out.add((), stats.crons)
    out.family("magicqueue_cron_ticks_total", "counter", "Ticks, by what became of them.")
    for result in _TICKS:
        out.add((("result", result),), getattr(stats, f"cron_{result}"))


def write_kept(out: Writer, stats: PolicyStats) -> None:
    """Tell who is told of events, and how much is kept beside jobs."""
    out.family("magicqueue_event_subscribers", "gauge", "Connections told of events.")
    out.add((), stats.subscribers)
    out.family(
        "magicqueue_events_dropped_total", "counter", "Events that nobody read in time."
    )
    out.add((), stats.events_dropped)
    out.family("magicqueue_kept", "gauge", "What is kept beside jobs, by kind.")
    for kind in _KEPT:
        out.add((("kind", kind),), getattr(stats, kind))
    out.family(
        "magicqueue_kept_dropped_total", "counter", "What of it went to make room, by kind."
    )
    for kind in _DROPPED:
        out.add((("kind", kind),), getattr(stats, f"{kind}_dropped"))
