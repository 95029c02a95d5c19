"""Replies: how the server writes them, and the types a client reads them into.

The replies of the hot commands are written by hand, since a format string is quicker than
making a struct to encode: `pushed`, `pulled` and the rest give a whole line. `rid` is the
raw value to echo, last in the object. Payloads are put in as they are.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw

from magicqueue.errors import Duplicate, RequestError
from magicqueue.wire.limits import Limits
from magicqueue.wire.requests import NO_RID, GroupLimit, RateLimit

Count: TypeAlias = Annotated[int, Meta(ge=0)]

_ENCODER: Final = msgspec.json.Encoder()
OK: Final = b'{"ok":true}\n'
_SAID_IF_SO: Final = frozenset(("duplicate", "replaced", "repeated", "duplicates"))


class CronTick(msgspec.Struct, gc=False):
    """The cron whose job it is, and the tick for which it came."""

    name: str
    tick: int


class JobOut(msgspec.Struct, gc=False, omit_defaults=True):
    """A job as PULL, PULLB give it."""

    id: int
    queue: str
    data: Raw
    priority: int
    created_at: int
    run_at: int
    attempts: int
    group: str | None = None
    cron: CronTick | None = None
    parents: list[int] = []


class JobDetail(msgspec.Struct, gc=False):
    """A job as GETJOB and DEAD give it."""

    id: int
    queue: str
    data: Raw
    priority: int
    created_at: int
    run_at: int
    attempts: int
    state: str
    failures: int
    lost: int
    max_attempts: int
    error: str | None
    lease_until: int | None
    reason: str | None = None
    died_at: int | None = None


class Progress(msgspec.Struct, gc=False):
    """How far an active job is, as its worker told last."""

    percent: int | None = None
    note: str | None = None


class JobInfo(msgspec.Struct, kw_only=True, gc=False):
    """What GETJOB tells of a job, or of how it ended: for a client to read it into.

    A job that is here has the fields of `JobDetail`, and those of what it asked policies
    for; one whose end was kept has `state`, `result`, `finished_at`, `attempts`.
    """

    id: int
    queue: str
    state: str
    attempts: int
    data: Raw = Raw(b"null")
    priority: int = 0
    created_at: int | None = None
    run_at: int | None = None
    failures: int = 0
    lost: int = 0
    max_attempts: int = 0
    error: str | None = None
    lease_until: int | None = None
    reason: str | None = None
    died_at: int | None = None
    unique_key: str | None = None
    group: str | None = None
    expires_at: int | None = None
    timeout: int | None = None
    attempt_until: int | None = None
    keep_result: int = 0
    parents: list[int] = []
    on_parent_failure: str | None = None
    waits_for: int = 0
    children: list[int] = []
    cancelled: bool = False
    progress: Progress | None = None
    cron: CronTick | None = None
    result: Raw = Raw(b"null")
    finished_at: int | None = None
    data_bytes: int | None = None
    """JOBS left its data out, since it is of so many bytes."""


class EndedJob(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A job as WAIT gives it: `done`, `cancelled`, `expired`, `dead` or `unknown`.

    Of one that is unknown, nothing more is told.
    """

    id: int
    state: str
    queue: str | None = None
    result: Raw = Raw(b"")
    finished_at: int | None = None
    attempts: int | None = None
    error: str | None = None
    reason: str | None = None


class Counts(msgspec.Struct, kw_only=True):
    """Counts now, and totals since the server's start."""

    queued: Count
    processing: Count
    delayed: Count
    blocked: Count = 0  # 0 of a server that does not know flows
    dead: Count
    paused: Count | bool
    pushed: Count
    completed: Count
    failed: Count
    lost: Count
    released: Count = 0  # 0 of a server that does not know RELEASE
    expired: Count
    cancelled: Count = 0  # 0 of a server that does not know CANCEL
    duplicates: Count = 0  # 0 of a server that does not know unique keys
    dropped: Count
    oldest_ready_ms: Count


class QueueLimits(msgspec.Struct, kw_only=True):
    """The limits of a queue; None is none."""

    concurrency: int | None = None
    rate: RateLimit | None = None
    group: GroupLimit | None = None


class OneQueueCounts(Counts, kw_only=True):
    """Counts of one queue, as STATS gives them: with its limits, if there are any."""

    limits: QueueLimits | None = None
    throttled_until: int | None = None
    """Nothing is handed out before, in epoch milliseconds; None: something may be."""


class QueueCounts(Counts, kw_only=True):
    """Counts of one queue, as QUEUES lists them."""

    name: str


class ServerCounts(Counts, kw_only=True):
    """Counts of the whole server."""

    queues: Count
    content_bytes: Count = 0
    memory_bytes: Count
    connections: Count
    waiting: Count
    input_bytes: Count = 0
    output_bytes: Count = 0
    uptime_ms: Count
    marked: Count = 0  # 0 of a server without policies, as all that follow
    unique_keys: Count = 0
    windows: Count = 0
    req_keys: Count = 0
    results: Count = 0
    result_bytes: Count = 0
    cancelling: Count = 0
    groups: Count = 0
    limited: Count = 0
    throttled: Count = 0
    windows_dropped: Count = 0
    req_keys_dropped: Count = 0
    results_dropped: Count = 0
    progress_dropped: Count = 0
    subscribers: Count = 0
    events_dropped: Count = 0
    crons: Count = 0
    cron_fired: Count = 0
    cron_skipped: Count = 0
    cron_missed: Count = 0
    cron_refused: Count = 0


class ServerInfo(msgspec.Struct, kw_only=True):
    """What HELLO tells of the server."""

    server: str
    """Its name."""
    version: str
    core: str
    """The engine that holds the jobs."""
    protocol: int
    """The protocol's version."""
    persistence: str
    """How jobs outlive a restart; `off`: they do not."""
    limits: Limits
    """What it accepts and sends; what it does not tell is the default."""
    capabilities: list[str]
    """What it can do; a client looks here before it relies on a newer field."""


def finish(body: bytes, rid: Raw) -> bytes:
    """Close a reply's object, with the `rid` if one was given."""
    if rid is NO_RID:
        return body + b"}\n"
    return b'%b,"rid":%b}\n' % (body, bytes(rid))


def ok(rid: Raw = NO_RID) -> bytes:
    """Say that it was done."""
    return OK if rid is NO_RID else finish(b'{"ok":true', rid)


def refused(error: RequestError, rid: Raw = NO_RID) -> bytes:
    """Say why it was not done, and which job stands in the way."""
    body = b'{"ok":false,"error":%b,"code":"%b"' % (
        _ENCODER.encode(error.sentence),
        error.code.encode(),
    )
    if isinstance(error, Duplicate) and error.job_id is not None:
        body += b',"id":%d' % error.job_id
    return finish(body, rid)


def pushed(first_id: int, rid: Raw = NO_RID) -> bytes:
    """Give the id of a PUSH."""
    return finish(b'{"ok":true,"id":%d' % first_id, rid)


def pushed_under_policies(reply: "PushReply | PushBatchReply", rid: Raw = NO_RID) -> bytes:
    """Give the id of a PUSH, or those of a PUSHB, and what is to be said of them."""
    told = {
        name: value
        for name, value in msgspec.structs.asdict(reply).items()
        if name in {"id", "ids"} or (name in _SAID_IF_SO and value)
    }
    return counted(rid, **told)


def pushed_batch(ids: Sequence[int], rid: Raw = NO_RID) -> bytes:
    """Give the ids of a PUSHB."""
    return finish(b'{"ok":true,"ids":' + _ENCODER.encode(list(ids)), rid)


def pulled(jobs: Iterable[bytes], rid: Raw = NO_RID) -> bytes:
    """Give the one job of a PULL, or null; jobs: see `job_objects`."""
    return finish(b'{"ok":true,"job":' + (b"".join(jobs) or b"null"), rid)


def pulled_batch(jobs: Iterable[bytes], rid: Raw = NO_RID) -> bytes:
    """Give the jobs of a PULLB; jobs: see `job_objects`."""
    return finish(b'{"ok":true,"jobs":[%b]' % b"".join(jobs), rid)


def job_objects(
    queue: str,
    ids: Sequence[int],
    payloads: Sequence[bytes],
    rows: Iterable[tuple[int, int, int, int]],
    more: Sequence[bytes] | None = None,
) -> list[bytes]:
    """Write jobs as objects between commas, in pieces to be joined.

    rows: (priority, created_at_ms, run_at_ms, attempts) of each job; neighbours are often
    alike, so the last one written is kept. more: further fields of each, see `more_fields`.
    """
    name = _ENCODER.encode(queue)
    middle = b',"queue":%b,"data":' % name
    first = True
    pieces: list[bytes] = []
    last_row: tuple[int, int, int, int] | None = None
    tail = b""
    if more is not None:
        return _job_objects(middle, zip(ids, payloads, rows, more, strict=True))
    for job_id, payload, row in zip(ids, payloads, rows, strict=True):
        if row != last_row:
            last_row = row
            tail = b',"priority":%d,"created_at":%d,"run_at":%d,"attempts":%d}' % row
        head = b'{"id":%d' % job_id if first else b',{"id":%d' % job_id
        first = False
        pieces += (head, middle, payload, tail)
    return pieces


def _job_objects(
    middle: bytes, jobs: Iterable[tuple[int, bytes, tuple[int, int, int, int], bytes]]
) -> list[bytes]:
    """Write jobs of which each may have further fields: see `job_objects`."""
    pieces: list[bytes] = []
    last_row: tuple[int, int, int, int] | None = None
    tail = end = b""
    for job_id, payload, row, fields in jobs:
        if row != last_row:
            last_row = row
            tail = b',"priority":%d,"created_at":%d,"run_at":%d,"attempts":%d' % row
        pieces += (b'%b{"id":%d' % (end, job_id), middle, payload, tail, fields)
        end = b"},"
    if pieces:
        pieces.append(b"}")
    return pieces


def group_fields(groups: Sequence[str | None]) -> list[bytes]:
    """Write the field of each job's group, as further fields; nothing if it has none."""
    names = [name for name in groups if name is not None]
    if not names:
        return [b""] * len(groups)
    text = "\n".join(names)
    if text.isascii() and '"' not in text and "\\" not in text:
        # No name has a control character in it, so this is how they are encoded.
        begin = b',"group":"'
        lines = text.encode().replace(b"\n", b'"\n' + begin)
        fields = (begin + lines + b'"').split(b"\n")
    else:
        fields = [more_fields({"group": name}) for name in names]
    if len(names) == len(groups):
        return fields
    given = iter(fields)
    return [b"" if name is None else next(given) for name in groups]


def more_fields(fields: dict[str, Any]) -> bytes:
    """Write fields that a job has beside those which all have."""
    return b"," + _ENCODER.encode(fields)[1:-1] if fields else b""


def acked_batch(acked: int, missing: Sequence[int], rid: Raw = NO_RID) -> bytes:
    """Count the jobs of an ACKB; `ids` holds the count for the original's clients."""
    body = b'{"ok":true,"ids":[%d],"acked":%d,"missing":%b' % (
        acked,
        acked,
        _ENCODER.encode(missing),
    )
    return finish(body, rid)


def failed(state: str, rid: Raw = NO_RID) -> bytes:
    """Say what a FAIL made of the job: ready, delayed or dead."""
    return finish(b'{"ok":true,"state":"%b"' % state.encode(), rid)


def counted(rid: Raw = NO_RID, **fields: Any) -> bytes:
    """Write a reply of small fields, in the order given."""
    body = _ENCODER.encode(fields)
    return finish(b'{"ok":true,' + body[1:-1], rid)


def listed(rows: Sequence[msgspec.Struct | dict[str, Any]]) -> bytes:
    """Write rows of a list, without its brackets."""
    return _ENCODER.encode(rows)[1:-1]


def queues_of(parts: list[bytes], rid: Raw = NO_RID) -> bytes:
    """Write the reply to QUEUES of what `listed` made, which may be nothing."""
    rows = list(filter(None, parts)) or [b""]
    rows[0] = b'{"ok":true,"queues":[' + rows[0]
    rows[-1] += finish(b"]", rid)
    return b",".join(rows)  # the only copy of what may be 25 MB


def described(reply: msgspec.Struct, rid: Raw = NO_RID) -> bytes:
    """Write a reply whose fields are those of a struct."""
    return finish(b'{"ok":true,' + _ENCODER.encode(reply)[1:-1], rid)


class Reply(msgspec.Struct, kw_only=True):
    """Every field that any reply may have, for a client to read one into."""

    ok: bool
    error: str = ""
    code: str = ""
    rid: Raw = NO_RID


class PushReply(Reply, kw_only=True):
    """Of PUSH.

    duplicate: the job with its key was there already. replaced: and is this one now.
    repeated: it was pushed by an earlier request with the same `req_key`.
    """

    id: int = 0
    duplicate: bool = False
    replaced: bool = False
    repeated: bool = False


class PushBatchReply(Reply, kw_only=True):
    """Of PUSHB; `duplicates` and `replaced` are indexes."""

    ids: list[int] = []
    duplicates: list[int] = []
    replaced: list[int] = []
    repeated: bool = False


class PullReply(Reply, kw_only=True):
    """Of PULL."""

    job: JobOut | None = None


class PullBatchReply(Reply, kw_only=True):
    """Of PULLB."""

    jobs: list[JobOut] = []


class AckBatchReply(Reply, kw_only=True):
    """Of ACKB."""

    acked: int = 0
    missing: list[int] = []


class FailReply(Reply, kw_only=True):
    """Of FAIL."""

    state: str = ""


class FailBatchReply(Reply, kw_only=True):
    """Of FAILB."""

    failed: int = 0
    missing: list[int] = []


class HeartbeatReply(Reply, kw_only=True):
    """Of HEARTBEAT; `cancelled` are those extended that nobody wants any more."""

    extended: int = 0
    missing: list[int] = []
    cancelled: list[int] = []


class WaitReply(Reply, kw_only=True):
    """Of WAIT."""

    jobs: list[EndedJob] = []


class CancelReply(Reply, kw_only=True):
    """Of CANCEL; `cancelling` are active, and will not run again."""

    cancelled: list[int] = []
    cancelling: list[int] = []
    missing: list[int] = []


class PromoteReply(Reply, kw_only=True):
    """Of PROMOTE."""

    promoted: int = 0
    missing: list[int] = []


class ReleaseReply(Reply, kw_only=True):
    """Of RELEASE."""

    released: int = 0
    missing: list[int] = []


class GroupCounts(msgspec.Struct, kw_only=True):
    """A group of a queue, as GROUPS tells of it."""

    name: str
    queued: int
    """Jobs that wait for the group's turns."""
    processing: int
    """Jobs that workers have."""
    throttled_until: int | None = None
    """None of them is handed out before, in epoch milliseconds; None: some may be."""


class GroupsReply(Reply, kw_only=True):
    """Of GROUPS."""

    groups: list[GroupCounts] = []
    next: str | None = None


class LimitReply(Reply, kw_only=True):
    """Of LIMIT."""

    concurrency: int | None = None
    rate: RateLimit | None = None
    group: GroupLimit | None = None


class ThrottleReply(Reply, kw_only=True):
    """Of THROTTLE."""

    throttled_until: int | None = None


class QueuesReply(Reply, kw_only=True):
    """Of QUEUES."""

    queues: list[QueueCounts] = []
    next: str | None = None


class JobReply(Reply, kw_only=True):
    """Of GETJOB."""

    job: JobInfo | None = None


class JobsReply(Reply, kw_only=True):
    """Of JOBS; `next` continues the listing as its `after`."""

    jobs: list[JobInfo] = []
    next: str | None = None
    scanned: int = 0


class BulkReply(Reply, kw_only=True):
    """Of BULK."""

    done: int = 0
    scanned: int = 0
    next: str | None = None


class DeadReply(Reply, kw_only=True):
    """Of DEAD; `next` continues the listing as its `after`."""

    jobs: list[JobDetail] = []
    next: int | None = None


class CronTicks(msgspec.Struct, gc=False):
    """What became of a cron's ticks, since it is there."""

    fired: int
    skipped: int
    missed: int
    refused: int


class CronInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A cron as CRONLIST gives it: what was asked for, and how far it is.

    next_run: None if none is to come. source: `client`, or `file` (a configuration).
    trouble: why it cannot tick, where its schedule is not known any more.
    """

    name: str
    queue: str
    data: Raw
    schedule: str | None = None
    every: int | None = None
    offset: int = 0
    tz: str | None = None
    start: int | None = None
    end: int | None = None
    limit: int | None = None
    spread: int = 0
    missed: str
    catchup: int
    overlap: str
    priority: int = 0
    max_attempts: int
    backoff: int = 0
    jitter: bool = False
    unique_key: str | None = None
    unique: str | None = None
    unique_for: int | None = None
    on_conflict: str | None = None
    ttl: int | None = None
    on_expire: str | None = None
    timeout: int | None = None
    keep_result: int | None = None
    group: str | None = None
    paused: bool
    created_at: int
    next_run: int | None
    next_runs: list[int] = []
    trouble: str | None = None
    last_tick: int | None
    last_job: int | None
    live: int
    ticks: CronTicks
    source: str


class CronReply(Reply, kw_only=True):
    """Of CRON, CRONPAUSE and CRONRESUME."""

    created: bool = False
    changed: bool = False
    next_run: int | None = None
    next_runs: list[int] = []


class CronListReply(Reply, kw_only=True):
    """Of CRONLIST; `next` continues the listing as its `after`."""

    crons: list[CronInfo] = []
    next: str | None = None


class CountReply(Reply, kw_only=True):
    """Of DRAIN, PURGEDEAD (`removed`) and RETRYDEAD (`retried`)."""

    removed: int = 0
    retried: int = 0
