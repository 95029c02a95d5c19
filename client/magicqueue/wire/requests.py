"""Requests: their types, as the protocol has them.

Each command is a struct whose fields are the protocol's. A client makes one and encodes
it; the server decodes a line into one (see `decode`). A field that is None was not given,
or given as null, and stands for the server's default.

The hot commands have a *plain* struct beside, with the fields that nearly all requests do
with, which decodes faster: it takes no field that it does not name, and a line that has one
is decoded again into the command's own struct, where only unknown fields are ignored.
"""

from typing import ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from magicqueue.wire.values import (
    Attempts,
    Bytes,
    Decimal,
    Deed,
    EventKind,
    Every,
    JobId,
    JobOrder,
    Milliseconds,
    Missed,
    Number,
    OnConflict,
    OnExpire,
    OnParentFailure,
    Order,
    Overlap,
    Percent,
    Positive,
    Priority,
    State,
    Tokens,
    Until,
)

NO_RID: Final = Raw(b"")
"""Stands for a `rid` that was not given."""
NO_RESULT: Final = Raw(b"")
"""Stands for a `result` that was not given."""


class PlainItem(
    msgspec.Struct, gc=False, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One job of a plain PUSHB; None is as the batch says, or the server's default."""

    data: Raw
    priority: Priority | None = None
    delay: Milliseconds | None = None
    run_at: Milliseconds | None = None
    max_attempts: Attempts | None = None
    backoff: Milliseconds | None = None
    jitter: bool | None = None


class PushItem(
    PlainItem, gc=False, kw_only=True, omit_defaults=True, forbid_unknown_fields=False
):
    """One job of a PUSHB."""

    unique_key: str | None = None
    unique: Until | None = None
    unique_for: Positive | None = None
    on_conflict: OnConflict | None = None
    ttl: Positive | None = None
    on_expire: OnExpire | None = None
    timeout: Positive | None = None
    keep_result: Milliseconds | None = None
    depends_on: list[JobId] | None = None
    on_parent_failure: OnParentFailure | None = None
    group: str | None = None


class FlowItem(PushItem, gc=False, kw_only=True, omit_defaults=True):
    """One job of a PUSHF: `depends_on` are ids, and the `ref`s of others of its jobs."""

    queue: str
    ref: str | None = None
    depends_on: list[Number | str] | None = None


class Verdict(msgspec.Struct, gc=False, omit_defaults=True):
    """One job of a HEARTBEAT or RELEASE, with the delivery that is meant."""

    id: JobId
    attempt: Positive | None = None


class PlainDone(Verdict, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One job of a plain ACKB."""


class Done(Verdict, gc=False, omit_defaults=True):
    """One job of an ACKB, with what came of it."""

    result: Raw = NO_RESULT


class Failure(Verdict, gc=False, omit_defaults=True):
    """One job of a FAILB; `retry` False or a `delay` say what comes after."""

    error: str | None = None
    retry: bool | None = None
    delay: Milliseconds | None = None


class Request(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="cmd"):
    """What all commands have: an optional `rid`, echoed as it came in the reply."""

    BATCH: ClassVar[str | None] = None
    """The field that holds a list of objects, if there is one."""
    OBJECTS: ClassVar[tuple[str, ...]] = ()
    """The fields that hold an object."""

    rid: Raw = NO_RID


class _PlainOptions(Request, kw_only=True, omit_defaults=True):
    """What plain pushes ask for their jobs, or for those that do not say their own.

    `delay` and `run_at` are one option, when a job may run, said in two ways.
    """

    priority: Priority | None = None
    delay: Milliseconds | None = None
    run_at: Milliseconds | None = None
    max_attempts: Attempts | None = None
    backoff: Milliseconds | None = None
    jitter: bool | None = None


class _Options(_PlainOptions, kw_only=True, omit_defaults=True):
    """What can be asked for jobs; `unique` and `unique_for` are one option, too."""

    unique_key: str | None = None
    unique: Until | None = None
    unique_for: Positive | None = None
    on_conflict: OnConflict | None = None
    ttl: Positive | None = None
    on_expire: OnExpire | None = None
    timeout: Positive | None = None
    keep_result: Milliseconds | None = None
    depends_on: list[JobId] | None = None
    on_parent_failure: OnParentFailure | None = None
    group: str | None = None
    req_key: str | None = None


class PlainPush(
    _PlainOptions, kw_only=True, omit_defaults=True, tag="PUSH", forbid_unknown_fields=True
):
    """Store one job that no policy is asked for."""

    queue: str
    data: Raw


class Push(_Options, kw_only=True, omit_defaults=True, tag="PUSH"):
    """Store one job."""

    queue: str
    data: Raw


class PlainPushBatch(
    _PlainOptions, kw_only=True, omit_defaults=True, tag="PUSHB", forbid_unknown_fields=True
):
    """Store many jobs that no policy is asked for."""

    BATCH: ClassVar[str | None] = "jobs"

    queue: str
    jobs: list[PlainItem]


class PushBatch(_Options, kw_only=True, omit_defaults=True, tag="PUSHB"):
    """Store many jobs, all or none; options hold for each job that does not say its own."""

    BATCH: ClassVar[str | None] = "jobs"

    queue: str
    jobs: list[PushItem]


class PushFlow(Request, kw_only=True, omit_defaults=True, tag="PUSHF"):
    """Store a flow: jobs of any queues that depend on each other, all or none."""

    BATCH: ClassVar[str | None] = "jobs"

    jobs: list[FlowItem]
    req_key: str | None = None


class Pull(Request, kw_only=True, omit_defaults=True, tag="PULL"):
    """Lease one job, of `queue` or of one of `queues`; `timeout` None waits for ever."""

    queue: str | None = None
    queues: list[str] | None = None
    order: Order | None = None
    timeout: Milliseconds | None = None
    lease: Positive | None = None


class PullBatch(Request, kw_only=True, omit_defaults=True, tag="PULLB"):
    """Lease up to `count` jobs, of `queue` or of `queues`."""

    queue: str | None = None
    queues: list[str] | None = None
    order: Order | None = None
    count: Positive
    timeout: Milliseconds | None = None
    lease: Positive | None = None


class PlainAck(
    Request, kw_only=True, omit_defaults=True, tag="ACK", forbid_unknown_fields=True
):
    """One job is done, and nothing came of it that is to be kept."""

    id: JobId
    attempt: Positive | None = None


class Ack(
    PlainAck, kw_only=True, omit_defaults=True, tag="ACK", forbid_unknown_fields=False
):
    """One job is done; `result` is kept if the job asked for that."""

    result: Raw = NO_RESULT


class PlainAckBatch(
    Request, kw_only=True, omit_defaults=True, tag="ACKB", forbid_unknown_fields=True
):
    """Many jobs are done, and nothing came of them that is to be kept."""

    BATCH: ClassVar[str | None] = "ids"

    ids: list[Number | Decimal | PlainDone]


class AckBatch(Request, kw_only=True, omit_defaults=True, tag="ACKB"):
    """Many jobs are done."""

    BATCH: ClassVar[str | None] = "ids"

    ids: list[Number | Decimal | Done]


class Fail(Request, kw_only=True, omit_defaults=True, tag="FAIL"):
    """One job failed; `retry` False lets it be dead, `delay` says when it comes again."""

    id: JobId
    error: str | None = None
    attempt: Positive | None = None
    retry: bool | None = None
    delay: Milliseconds | None = None


class FailBatch(Request, kw_only=True, omit_defaults=True, tag="FAILB"):
    """Many jobs failed."""

    BATCH: ClassVar[str | None] = "jobs"

    jobs: list[Failure]


class Heartbeat(Request, kw_only=True, omit_defaults=True, tag="HEARTBEAT"):
    """Extend leases, of `ids` or of `id`; `wait` so long to be told of a cancel."""

    BATCH: ClassVar[str | None] = "ids"

    ids: list[Number | Decimal | Verdict] | None = None
    id: JobId | None = None
    attempt: Positive | None = None
    lease: Positive | None = None
    wait: Milliseconds | None = None


class Progress(Request, kw_only=True, omit_defaults=True, tag="PROGRESS"):
    """Tell how far an active job is; with `lease` it is a heartbeat as well."""

    id: JobId
    attempt: Positive | None = None
    percent: Percent | None = None
    note: str | None = None
    lease: Positive | None = None


class Release(Request, kw_only=True, omit_defaults=True, tag="RELEASE"):
    """Give active jobs back, `ids` or `id`: to their old place, or after `delay`."""

    BATCH: ClassVar[str | None] = "ids"

    ids: list[Number | Decimal | Verdict] | None = None
    id: JobId | None = None
    attempt: Positive | None = None
    delay: Milliseconds | None = None


class StatsRequest(Request, kw_only=True, omit_defaults=True, tag="STATS"):
    """Counts of a queue, or of the whole server."""

    queue: str | None = None


class Queues(Request, kw_only=True, omit_defaults=True, tag="QUEUES"):
    """Counts of every queue, or of a page of them: `count` behind the name `after`."""

    count: Positive | None = None
    after: str | None = None
    prefix: str | None = None
    sort: Literal["name"] | None = None


class Jobs(Request, kw_only=True, omit_defaults=True, tag="JOBS"):
    """List jobs by id, or the first of a queue in the order they will come."""

    queue: str | None = None
    state: State | None = None
    order: JobOrder | None = None
    count: Positive | None = None
    after: str | None = None
    contains: str | None = None
    data_max: Bytes | None = None


class Bulk(Request, kw_only=True, omit_defaults=True, tag="BULK"):
    """Do to jobs that JOBS would list what a single command does; `dry` only counts."""

    do: Deed
    queue: str
    state: State | None = None
    contains: str | None = None
    after: str | None = None
    dry: bool | None = None


class Subscribe(Request, kw_only=True, omit_defaults=True, tag="SUBSCRIBE"):
    """Be told of events of these kinds, of some queues or all; `every` is for `stats`."""

    kinds: list[EventKind]
    queues: list[str] | None = None
    every: Every | None = None


class GetJob(Request, kw_only=True, omit_defaults=True, tag="GETJOB"):
    """All that is known of one job: `id`, or that of the push with `req_key`."""

    id: JobId | None = None
    queue: str | None = None
    req_key: str | None = None


class Wait(Request, kw_only=True, omit_defaults=True, tag="WAIT"):
    """Wait until one of some jobs has ended; `timeout` None waits for ever."""

    ids: list[JobId] | None = None
    queue: str | None = None
    req_key: str | None = None
    timeout: Milliseconds | None = None


class Cancel(Request, kw_only=True, omit_defaults=True, tag="CANCEL"):
    """Let jobs, `ids` or `id`, not run, or not again."""

    ids: list[JobId] | None = None
    id: JobId | None = None


class Promote(Request, kw_only=True, omit_defaults=True, tag="PROMOTE"):
    """Make delayed jobs, `ids` or `id`, ready now."""

    ids: list[JobId] | None = None
    id: JobId | None = None


class RateLimit(msgspec.Struct, omit_defaults=True):
    """So many `jobs` `per` milliseconds, and up to `burst` at once (as many, if None)."""

    jobs: Tokens
    per: Positive
    burst: Tokens | None = None


class GroupLimit(msgspec.Struct, omit_defaults=True):
    """The limits of each single group of a queue."""

    concurrency: Tokens | None = None
    rate: RateLimit | None = None


class Limit(Request, kw_only=True, omit_defaults=True, tag="LIMIT"):
    """Limit a queue: what is not given stays, null removes; without any, only tell."""

    OBJECTS: ClassVar[tuple[str, ...]] = ("rate", "group")

    queue: str
    concurrency: Tokens | UnsetType | None = UNSET
    rate: RateLimit | UnsetType | None = UNSET
    group: GroupLimit | UnsetType | None = UNSET


class Throttle(Request, kw_only=True, omit_defaults=True, tag="THROTTLE"):
    """Hand out no jobs of a queue, or a group, `for` so many milliseconds; 0 ends that."""

    queue: str
    group: str | None = None
    for_ms: Milliseconds = msgspec.field(name="for")


class Groups(Request, kw_only=True, omit_defaults=True, tag="GROUPS"):
    """List the groups of a queue by name, behind `after`."""

    queue: str
    count: Positive | None = None
    after: str | None = None


class Pause(Request, kw_only=True, omit_defaults=True, tag="PAUSE"):
    """Hand out no more jobs of a queue."""

    queue: str


class Resume(Request, kw_only=True, omit_defaults=True, tag="RESUME"):
    """Hand them out again."""

    queue: str


class Drain(Request, kw_only=True, omit_defaults=True, tag="DRAIN"):
    """Remove a queue's ready and delayed jobs."""

    queue: str


class Dead(Request, kw_only=True, omit_defaults=True, tag="DEAD"):
    """List dead letters behind the job `after`."""

    queue: str
    count: Positive | None = None
    after: JobId | None = None


class RetryDead(Request, kw_only=True, omit_defaults=True, tag="RETRYDEAD"):
    """Make dead jobs ready anew: one by `id`, or all of `queue`."""

    queue: str | None = None
    id: JobId | None = None


class PurgeDead(Request, kw_only=True, omit_defaults=True, tag="PURGEDEAD"):
    """Remove dead jobs: one by `id`, or all of `queue`."""

    queue: str | None = None
    id: JobId | None = None


class Ping(Request, kw_only=True, omit_defaults=True, tag="PING"):
    """Ask whether anybody is there."""


class Hello(Request, kw_only=True, omit_defaults=True, tag="HELLO"):
    """Introduce the client, and ask what the server is and allows."""

    client: str | None = None
    token: str | None = None


class Auth(Request, kw_only=True, omit_defaults=True, tag="AUTH"):
    """Show a token: from then on the session may do what it allows."""

    token: str


class Cron(_Options, kw_only=True, omit_defaults=True, tag="CRON"):
    """Have a job come again and again, by a `schedule` in `tz`, or `every` so often.

    What a job may be asked for is as in PUSH; `delay`, `run_at`, `req_key` and
    `depends_on` are refused: each tick is a push of its own.
    """

    name: str
    queue: str
    data: Raw = Raw(b"null")
    schedule: str | None = None
    every: Positive | None = None
    offset: Milliseconds | None = None
    tz: str | None = None
    start: Milliseconds | None = None
    end: Milliseconds | None = None
    limit: Positive | None = None
    spread: Milliseconds | None = None
    missed: Missed | None = None
    catchup: Milliseconds | None = None
    overlap: Overlap | None = None


class CronList(Request, kw_only=True, omit_defaults=True, tag="CRONLIST"):
    """List crons by name, a page of them behind the name `after`; or one, by its `name`.

    Of one, `runs` of its next runs are told.
    """

    count: Positive | None = None
    after: str | None = None
    name: str | None = None
    runs: Positive | None = None


class CronDelete(Request, kw_only=True, omit_defaults=True, tag="CRONDELETE"):
    """Forget a cron; its jobs stay."""

    name: str


class CronPause(Request, kw_only=True, omit_defaults=True, tag="CRONPAUSE"):
    """Let a cron push no more jobs."""

    name: str


class CronResume(Request, kw_only=True, omit_defaults=True, tag="CRONRESUME"):
    """Let it push them again."""

    name: str


class CronRun(Request, kw_only=True, omit_defaults=True, tag="CRONRUN"):
    """Push a job of a cron now, which changes nothing else."""

    name: str


CRON_REQUESTS: Final[tuple[type[Request], ...]] = (
    *(Cron, CronList, CronDelete),
    *(CronPause, CronResume, CronRun),
)

COMMANDS: Final[dict[str, type[Request]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        Push,
        PushBatch,
        PushFlow,
        Pull,
        PullBatch,
        Ack,
        AckBatch,
        Fail,
        FailBatch,
        Heartbeat,
        Progress,
        Release,
        Cancel,
        Promote,
        Wait,
        StatsRequest,
        Queues,
        Jobs,
        Bulk,
        Subscribe,
        GetJob,
        Limit,
        Throttle,
        Groups,
        Pause,
        Resume,
        Drain,
        Dead,
        RetryDead,
        PurgeDead,
        Ping,
        Hello,
        Auth,
        Cron,
        CronList,
        CronDelete,
        CronPause,
        CronResume,
        CronRun,
    )
}

PLAIN: Final[dict[str, type[Request]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (PlainPush, PlainPushBatch, PlainAck, PlainAckBatch)
}
"""What a line of these commands is decoded into first."""

_ENCODER: Final = msgspec.json.Encoder()


def encode_request(request: Request) -> bytes:
    """Give the request as a line, its end included."""
    return _ENCODER.encode(request) + b"\n"
