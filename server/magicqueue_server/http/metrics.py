"""What a scrape is told, in Prometheus's text format.

Names and labels are part of the product (docs/http.md). Labels are bounded: at most so many
queues have lines of their own, those with the most jobs at the last look and for an hour
from then, so that their counters do not come and go; all others are summed under queue="".
A scrape looks at some hundred queues, or writes one family, then lets others run.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from magicqueue_cores.contract import CoreStats, QueueStats
from magicqueue_cores.pending import Answer, Pending
from magicqueue_server.clock import Clock
from magicqueue_server.engine import Engine
from magicqueue_server.http.families import (
    write_crons,
    write_deaths,
    write_kept,
    write_limits,
    write_log,
)
from magicqueue_server.http.process import process_facts
from magicqueue_server.looks import counted
from magicqueue_server.wal.persistence import LogFacts

T = TypeVar("T")
S = TypeVar("S", CoreStats, QueueStats)
_STEP_QUEUES: Final = 200
_LOOK_S: Final = 60.0
_STICKY_S: Final = 3600.0
_LAG_LOOK_S: Final = 0.25
_STATES: Final = (
    ("ready", "queued"),
    ("delayed", "delayed"),
    ("active", "processing"),
    ("blocked", "blocked"),
    ("dead", "dead"),
)
_TOTALS: Final = (
    ("pushed", "Jobs stored."),
    ("delivered", "Attempts handed out."),
    ("completed", "Jobs acknowledged."),
    ("failed", "Attempts that failed."),
    ("lost", "Attempts whose worker went away or was too slow."),
    ("released", "Attempts that were given back unharmed."),
    ("expired", "Jobs that were too old to be handed out."),
    ("cancelled", "Jobs that were cancelled."),
    ("duplicates", "Pushes of a job that was there already."),
)
_HAS: Final = frozenset(QueueStats.__struct_fields__)
_COUNTERS: Final = [
    *(
        (f"magicqueue_jobs_{field}_total", text, field)
        for field, text in _TOTALS
        if field in _HAS
    ),
    (
        "magicqueue_dead_jobs_dropped_total",
        "Dead letters that were dropped, the oldest first.",
        "dropped",
    ),
]
"""Name, help and field; queue="" has what other queues, and forgotten ones, counted."""


class ServerState(NamedTuple):
    """What the server tells of itself, beside the engine."""

    version: str
    persistence: str
    memory_bytes_max: int
    not_ready: Callable[[], tuple[str, str] | None]
    """Gives a code and a sentence if the server cannot do all that it should."""
    read_only: Callable[[], bool]
    deaths: Mapping[str, int]
    """Jobs that died, by what of."""
    log: Callable[[], LogFacts | None]


class Metrics:
    """Collects them. queues_max: so many queues have lines of their own."""

    def __init__(
        self, engine: Engine, clock: Clock, state: ServerState, queues_max: int
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._state = state
        self._queues_max = queues_max
        self._requests: dict[tuple[str, int], int] = {}
        self._named: dict[str, float] = {}
        """Queues with lines of their own, and when they were last among the largest."""
        self._looked_s = float("-inf")
        self._others: dict[str, int] = {}
        self._lag_s = 0.0
        self._lag_timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure how late the loop is, from now on."""
        self._loop = loop
        self._watch_lag(loop.time())

    def end(self) -> None:
        """Measure no more."""
        if self._lag_timer is not None:
            self._lag_timer.cancel()

    def count_request(self, route: str, status: int) -> None:
        """Count a response."""
        key = (route, status)
        self._requests[key] = self._requests.get(key, 0) + 1

    async def text(self) -> str:
        """Write all of them."""
        rows = await self._rows()
        stats = self._counted(await _settled(self._engine.core.stats(self._now_ms())))
        out = Writer()
        await self._write_queues(out, rows, stats)
        policies = self._engine.policies
        write_limits(out, policies, [row.name for row in rows], self._now_ms())
        if policies is not None:
            write_kept(out, policies.stats())
            write_crons(out, policies.crons.stats())
        write_deaths(out, self._state.deaths)
        write_log(out, self._state.log())
        self._write_server(out, stats, len(rows))
        return out.text()

    def _counted(self, stats: S) -> S:
        return counted(stats, self._engine.policies, self._now_ms())

    async def _rows(self) -> list[QueueStats]:
        """Give the counts of the queues that have lines of their own."""
        core = self._engine.core
        stats = await _settled(core.stats(self._now_ms()))
        if stats.queues <= self._queues_max:
            rows = [row async for page in self._pages() for row in page]
            names = rows[: self._queues_max]
            self._name_anew(dict.fromkeys((row.name for row in names), self._loop.time()))
            return names
        await self._look()
        chosen: list[QueueStats] = []
        for index, name in enumerate(sorted(self._named)):
            if index and index % _STEP_QUEUES == 0:
                await asyncio.sleep(0)
            one = await _settled(core.queue_stats(name, self._now_ms()))
            chosen.append(self._counted(one))
        return chosen

    async def _pages(self) -> AsyncIterator[list[QueueStats]]:
        after: str | None = None
        while True:
            answer = self._engine.core.queues(self._now_ms(), _STEP_QUEUES, after)
            page = await _settled(answer)
            yield list(map(self._counted, page))
            if len(page) < _STEP_QUEUES:
                return
            after = page[-1].name
            await asyncio.sleep(0)

    async def _look(self) -> None:
        """Choose the queues with the most jobs anew, if the last look is some time ago."""
        now_s = self._loop.time()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        sure = {n for n, at_s in self._named.items() if now_s - at_s < _STICKY_S}
        largest: list[tuple[int, str]] = []
        chosen: list[tuple[bool, int, str]] = []
        async for page in self._pages():
            sizes = [
                (r.queued + r.processing + r.delayed + r.blocked + r.dead, r.name)
                for r in page
            ]
            largest = heapq.nlargest(self._queues_max, largest + sizes)
            ranked = [(name in sure, size, name) for size, name in sizes]
            chosen = heapq.nlargest(self._queues_max, chosen + ranked)
        fresh = {name for _, name in largest}
        self._name_anew(
            {
                name: now_s if name in fresh else self._named.get(name, now_s)
                for _, _, name in chosen
            }
        )

    def _name_anew(self, named: dict[str, float]) -> None:
        if named.keys() != self._named.keys():
            self._others.clear()
        self._named = named

    async def _write_queues(
        self, out: "Writer", rows: list[QueueStats], stats: CoreStats
    ) -> None:
        heads = [f'{{queue="{_escaped(row.name)}"' for row in rows]
        hidden = stats.queues - len(rows)
        out.family("magicqueue_jobs", "gauge", "Jobs that are here, by state.")
        for state, field in _STATES:
            if field not in _HAS:
                continue
            values = [getattr(row, field) for row in rows]
            tail = f',state="{state}"}}'
            await out.many(heads, tail, values)
            if hidden > 0:
                rest = getattr(stats, field) - sum(values)
                out.add((("queue", ""), ("state", state)), max(0, rest))
        for name, text, field in _COUNTERS:
            out.family(name, "counter", text)
            values = [getattr(row, field) for row in rows]
            await out.many(heads, "}", values)
            # the sums are of several moments, and a counter must not fall
            rest = max(getattr(stats, field) - sum(values), self._others.get(field, 0))
            self._others[field] = rest
            if rest:
                out.add((("queue", ""),), rest)
        out.family(
            "magicqueue_queue_oldest_ready_age_seconds",
            "gauge",
            "How long the oldest ready job has waited.",
        )
        await out.many(heads, "}", [row.oldest_ready_ms / 1000 for row in rows])
        out.family("magicqueue_queue_paused", "gauge", "Whether a queue is paused.")
        await out.many(heads, "}", [int(row.paused) for row in rows])

    def _write_server(self, out: "Writer", stats: CoreStats, exported: int) -> None:
        engine, state = self._engine, self._state
        counts = engine.server_counts()
        lag_s, self._lag_s = self._lag_s, 0.0
        for name, text, value in (
            ("queues", "Queues that are known.", stats.queues),
            (
                "queues_not_exported",
                "Queues that are summed under an empty name.",
                max(0, stats.queues - exported),
            ),
            ("connections", "Connections, of HTTP too.", counts["connections"]),
            ("waiting_pulls", "Pulls that wait for a job.", counts["waiting"]),
            ("memory_bytes", "What jobs and queues take.", stats.memory_bytes),
            ("memory_limit_bytes", "The bound of that; 0: none.", state.memory_bytes_max),
            ("read_only", "Whether the log cannot be written.", int(state.read_only())),
            (
                "loop_lag_seconds",
                "How late the event loop was at worst since the last scrape.",
                lag_s,
            ),
            ("uptime_seconds", "Since the start.", counts["uptime_ms"] / 1000),
        ):
            out.family(f"magicqueue_{name}", "gauge", text)
            out.add((), value)
        out.family("magicqueue_http_requests_total", "counter", "Responses over HTTP.")
        for (route, status), number in sorted(self._requests.items()):
            out.add((("route", route), ("code", str(status))), number)
        out.family("magicqueue_build_info", "gauge", "What runs here; always 1.")
        about = {
            "version": state.version,
            "core": engine.core.name,
            "persistence": state.persistence,
        }
        out.add(tuple(about.items()), 1)
        for name, value in process_facts().items():
            kind = "counter" if name.endswith("_total") else "gauge"
            out.family(name, kind, "As the system tells.")
            out.add((), value)

    def _now_ms(self) -> int:
        return self._clock.now_ms()

    def _watch_lag(self, due_s: float) -> None:
        now_s = self._loop.time()
        self._lag_s = max(self._lag_s, now_s - due_s)
        due_s = now_s + _LAG_LOOK_S
        self._lag_timer = self._loop.call_at(due_s, self._watch_lag, due_s)


class Writer:
    """Writes families of samples."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._name = ""

    def family(self, name: str, kind: str, text: str) -> None:
        """Begin one."""
        self._name = name
        self._lines.append(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")

    def add(
        self, labels: Iterable[tuple[str, str]], value: float, suffix: str = ""
    ) -> None:
        """Add a sample of it."""
        pairs = ",".join([f'{name}="{_escaped(text)}"' for name, text in labels])
        braces = f"{{{pairs}}}" if pairs else ""
        self._lines.append(f"{self._name}{suffix}{braces} {value}\n")

    async def many(self, heads: list[str], tail: str, values: list[Any]) -> None:
        """Add a sample a queue, and let others run."""
        name = self._name
        pairs = zip(heads, values, strict=True)
        self._lines += [f"{name}{head}{tail} {value}\n" for head, value in pairs]
        await asyncio.sleep(0)

    def text(self) -> str:
        """Give it all."""
        return "".join(self._lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


async def _settled(answer: Answer[T]) -> T:
    """Wait for an answer that a core may give later."""
    if not isinstance(answer, Pending):
        return answer
    there: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(_settled: Pending[Any]) -> None:
        if not there.done():
            there.set_result(None)

    answer.then(tell)
    await there
    return answer.result()
