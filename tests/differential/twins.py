"""Two engines over two cores, fed the same bytes, and what they did."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from magicqueue.wire.limits import Limits
from magicqueue_cores import make_core, records
from magicqueue_cores.contract import Core, CoreOptions
from magicqueue_cores.line_contract import WireDefaults
from magicqueue_server.columns import JobDefaults
from magicqueue_server.engine import Engine
from magicqueue_server.looks import ServerFacts
from magicqueue_server.turns import Turns
from server.desk import StillClock

START_MS = 1_700_000_000_000
SAME_MEMORY = b'"memory_bytes":0'


class Side:
    """One engine with some sessions; `heard` is what each was told."""

    def __init__(self, core_name: str, limits: Limits, **options: int) -> None:
        self.records: list[records.Record] = []
        self.core: Core | None = None
        self._now_ms = START_MS
        self._soon: deque[Callable[[], object]] = deque()
        wire = WireDefaults(
            **{
                field: value
                for field, value in msgspec.structs.asdict(limits).items()
                if field in WireDefaults.__struct_fields__
            }
        )

        def make(on_ready: Any) -> Core:
            self.core = make_core(
                core_name,
                CoreOptions(**options),
                on_ready=on_ready,
                record=self.records.append,
                wire=wire,
            )
            return self.core

        self.engine = Engine(
            make,
            limits,
            JobDefaults(),
            ServerFacts(version="1"),
            lambda _session: None,
            Turns(self._soon.append, StillClock(lambda: self._now_ms)),
        )
        self.heard: list[list[bytes]] = []
        self.sessions: list[Any] = []

    def open(self, now_ms: int) -> None:
        told: list[bytes] = []
        self.heard.append(told)
        self.sessions.append(
            self.engine.open(told.append, lambda: None, lambda: None, now_ms)
        )

    def feed(self, number: int, lines: bytes, now_ms: int) -> None:
        self._now_ms = now_ms
        self.engine.feed(self.sessions[number], lines, now_ms)
        while self._soon:
            self._soon.popleft()()

    def replies(self) -> list[bytes]:
        every = [b"".join(told) for told in self.heard]
        for told in self.heard:
            told.clear()
        return every


def plain(record: records.Record) -> Any:
    """A record with every column written out."""
    fields = msgspec.structs.asdict(record)
    if isinstance(record, records.Pushed):
        count = len(record.payloads)
        for name, value in fields.items():
            if name not in {"queue", "first_id", "created_at_ms"}:
                whole = [value] * count if isinstance(value, int) else list(value)
                fields[name] = [int(v) if isinstance(v, bool) else v for v in whole]
    return type(record).__name__, {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
    }


def told_singly(made: list[records.Record]) -> Iterator[Any]:
    """Records as values, those of pushed and acknowledged jobs apart for each job.

    A core may tell commands of one kind that ran in a row as one record, or as many.
    """
    for record in made:
        if isinstance(record, records.Acked):
            yield from (records.Acked([job_id]) for job_id in record.ids)
        elif isinstance(record, records.Pushed):
            yield from _each_pushed(record)
        else:
            yield plain(record)


def _each_pushed(record: records.Pushed) -> Iterator[Any]:
    for k, payload in enumerate(record.payloads):
        columns = (
            record.run_ats_ms,
            record.priorities,
            record.max_attempts,
            record.backoffs_ms,
            record.jitters,
        )
        of_job = [c if isinstance(c, int) else c[k] for c in columns]
        first = record.first_id + k
        yield (record.queue, first, record.created_at_ms, payload, *of_job)
