"""Two engines over two cores, fed the same bytes, and what they did."""

from typing import Any

import msgspec

from magicqueue.wire.limits import Limits
from magicqueue_cores import make_core, records
from magicqueue_cores.contract import Core, CoreOptions
from magicqueue_cores.line_contract import WireDefaults
from magicqueue_server.columns import JobDefaults
from magicqueue_server.commands import ServerFacts
from magicqueue_server.engine import Engine

START_MS = 1_700_000_000_000
SAME_MEMORY = b'"memory_bytes":0'


class Side:
    """One engine with some sessions; `heard` is what each was told."""

    def __init__(self, core_name: str, limits: Limits, **options: int) -> None:
        self.records: list[records.Record] = []
        self.core: Core | None = None
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
            make, limits, JobDefaults(), ServerFacts(version="1"), lambda _session: None
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
        self.engine.feed(self.sessions[number], lines, now_ms)

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
