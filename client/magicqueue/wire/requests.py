"""Requests: their types, as the protocol has them.

Each command is a struct whose fields are the protocol's. A client makes one and encodes
it; the server decodes a line into one (see `decode`). A field that is None was not given,
or given as null, and stands for the server's default.
"""

from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw

from magicqueue.wire.limits import ID_MAX

Priority: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=ID_MAX)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=ID_MAX)]
Number: TypeAlias = Annotated[int, Meta(ge=-ID_MAX, le=ID_MAX)]
_UP_TO_ID_MAX: Final = (
    "[0-9]{1,15}|[0-8][0-9]{15}|900[0-6][0-9]{12}|90070[0-9]{11}|90071[0-8][0-9]{10}"
    "|900719[0-8][0-9]{9}|9007199[01][0-9]{8}|90071992[0-4][0-9]{7}"
    "|900719925[0-3][0-9]{6}|9007199254[0-6][0-9]{5}|90071992547[0-3][0-9]{4}"
    "|9007199254740[0-8][0-9]{2}|90071992547409[0-8][0-9]|900719925474099[01]"
)
Decimal: TypeAlias = Annotated[str, Meta(pattern=rf"^-?(?:{_UP_TO_ID_MAX})\Z")]
JobId: TypeAlias = Number | Decimal


NO_RID: Final = Raw(b"")
"""Stands for a `rid` that was not given."""


class PushItem(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    """One job of a PUSHB; what is None is as the batch says, or the server's default."""

    data: Raw
    priority: Priority | None = None
    delay: Milliseconds | None = None
    run_at: Milliseconds | None = None
    max_attempts: Milliseconds | None = None
    backoff: Milliseconds | None = None
    jitter: bool | None = None


class Verdict(msgspec.Struct, gc=False, omit_defaults=True):
    """One job of an ACKB or HEARTBEAT, with the delivery that is meant."""

    id: JobId
    attempt: Positive | None = None


class Failure(Verdict, gc=False, omit_defaults=True):
    """One job of a FAILB; `retry` False or a `delay` say what comes after."""

    error: str | None = None
    retry: bool | None = None
    delay: Milliseconds | None = None


class Request(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="cmd"):
    """What all commands have: an optional `rid`, echoed as it came in the reply."""

    BATCH: ClassVar[str | None] = None
    """The field that holds a list of objects, if there is one."""

    rid: Raw = NO_RID


class Push(Request, kw_only=True, omit_defaults=True, tag="PUSH"):
    """Store one job."""

    queue: str
    data: Raw
    priority: Priority | None = None
    delay: Milliseconds | None = None
    run_at: Milliseconds | None = None
    max_attempts: Milliseconds | None = None
    backoff: Milliseconds | None = None
    jitter: bool | None = None


class PushBatch(Request, kw_only=True, omit_defaults=True, tag="PUSHB"):
    """Store many jobs, all or none; options hold for each job that does not say its own.

    `delay` and `run_at` are one option, when the job may run, said in two ways.
    """

    BATCH: ClassVar[str | None] = "jobs"

    queue: str
    priority: Priority | None = None
    delay: Milliseconds | None = None
    run_at: Milliseconds | None = None
    max_attempts: Milliseconds | None = None
    backoff: Milliseconds | None = None
    jitter: bool | None = None
    jobs: list[PushItem]


class Pull(Request, kw_only=True, omit_defaults=True, tag="PULL"):
    """Lease one job; `timeout` None waits for ever."""

    queue: str
    timeout: Milliseconds | None = None
    lease: Positive | None = None


class PullBatch(Request, kw_only=True, omit_defaults=True, tag="PULLB"):
    """Lease up to `count` jobs."""

    queue: str
    count: Positive
    timeout: Milliseconds | None = None
    lease: Positive | None = None


class Ack(Request, kw_only=True, omit_defaults=True, tag="ACK"):
    """One job is done."""

    id: JobId
    attempt: Positive | None = None


class AckBatch(Request, kw_only=True, omit_defaults=True, tag="ACKB"):
    """Many jobs are done."""

    BATCH: ClassVar[str | None] = "ids"

    ids: list[Number | Decimal | Verdict]


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
    """Extend leases: of `ids`, or of `id`."""

    BATCH: ClassVar[str | None] = "ids"

    ids: list[Number | Decimal | Verdict] | None = None
    id: JobId | None = None
    attempt: Positive | None = None
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


class GetJob(Request, kw_only=True, omit_defaults=True, tag="GETJOB"):
    """All that is known of one job."""

    id: JobId


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


COMMANDS: Final[dict[str, type[Request]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        Push,
        PushBatch,
        Pull,
        PullBatch,
        Ack,
        AckBatch,
        Fail,
        FailBatch,
        Heartbeat,
        Release,
        StatsRequest,
        Queues,
        GetJob,
        Pause,
        Resume,
        Drain,
        Dead,
        RetryDead,
        PurgeDead,
        Ping,
        Hello,
        Auth,
    )
}

_ENCODER: Final = msgspec.json.Encoder()


def encode_request(request: Request) -> bytes:
    """Give the request as a line, its end included."""
    return _ENCODER.encode(request) + b"\n"
