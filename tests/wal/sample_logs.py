"""Small logs in memory, written the way the server does, and what is read from them."""

import random
from collections.abc import Iterable
from itertools import count

from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.decode import decode
from magicqueue_server.wal.encode import encode
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.scan import Scan
from wal.memory_disk import MemoryFolder

NOW_MS = 1_700_000_000_000


def plain(record: records.Record) -> tuple[object, ...]:
    """A record's content, whatever its columns are made of."""

    def value(field: object) -> object:
        if isinstance(field, str | bytes | int | bool | None):
            return field
        assert isinstance(field, Iterable)
        return list(field)

    names = record.__struct_fields__
    return (type(record).__name__, *[value(getattr(record, name)) for name in names])


def life(seed: int, steps: int) -> list[list[records.Record]]:
    """What a core reported in each of some steps of a made-up day."""
    rng = random.Random(seed)
    noted: list[records.Record] = []
    options = CoreOptions(lost_max=1, dead_jobs_max=3)
    core = make_core("python", options, record=noted.append)
    days: list[list[records.Record]] = []
    now = NOW_MS
    while len(days) < steps:
        now += rng.randrange(3)
        queue = rng.choice(["emails", "q", "größe"])
        ids = rng.sample(range(1, 60), 8)
        match rng.randrange(8):
            case 0 | 1:
                size = rng.randrange(1, 5)
                payloads = [b'{"n":%d}' % rng.randrange(10**6) for _ in range(size)]
                jobs = NewJobs(payloads=payloads, run_ats_ms=now)
                if rng.random() < 0.5:
                    jobs.run_ats_ms = [now + rng.randrange(3) for _ in payloads]
                    jobs.priorities = [rng.randrange(-3, 3) for _ in payloads]
                    jobs.jitters = [rng.random() < 0.5 for _ in payloads]
                jobs.max_attempts = rng.choice([1, 3])
                core.push(queue, jobs, now)
            case 2 | 3:
                core.pull(queue, 3, 10**6, rng.randrange(1, 5), 1, now)
            case 4 if ids[0] % 3 == 0:
                core.release(ids, None, ids[1] % 2, now)
            case 4:
                core.ack(ids, None, now)
            case 5:
                core.fail(ids, None, rng.choices([None, "kaputt: ü", ""], k=8), now)
            case 6:
                core.pause(queue, paused=rng.random() < 0.3, now_ms=now)
            case _:
                core.drain(queue, now) if rng.random() < 0.2 else core.advance(now)
        if noted:
            days.append(noted[:])
            noted.clear()
    return days


def group_of(some: Iterable[records.Record], number: int = 1) -> Group:
    """Make a group of records that begin the log."""
    group = Group(number=number, last_id=0, sequence=0)
    for record in some:
        group.body_bytes += encode(record, group.parts)
    return group


def journal_in(
    folder: MemoryFolder, *, segment_bytes: int = 2**16, mode: str = "always"
) -> LocalJournal:
    """Begin a log with made-up salts."""
    salts = count(0x1234)
    journal = LocalJournal(
        folder,
        [],
        lsn=0,
        segment_bytes=segment_bytes,
        salts=lambda: next(salts),
        now_ms=lambda: NOW_MS,
        mode=mode,
    )
    journal.begin(0, 0)
    return journal


def read_log(folder: MemoryFolder) -> tuple[Scan, list[list[records.Record]]]:
    """Read all there is; gives the scan and the records of each data frame."""
    scan = Scan(folder)
    frames = [
        list(decode(frame.body)) for _, frame in scan.frames() if frame.kind == fmt.DATA
    ]
    return scan, frames


def same(one: list[list[records.Record]], other: list[list[records.Record]]) -> bool:
    """Whether two logs say the same."""
    return [[plain(r) for r in group] for group in one] == [
        [plain(r) for r in group] for group in other
    ]
