"""The kinds of values that requests' fields have."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from magicqueue.wire.limits import EVERY_MS_MIN, ID_MAX

Priority: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=ID_MAX)]
Attempts: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, le=ID_MAX)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=ID_MAX)]
Number: TypeAlias = Annotated[int, Meta(ge=-ID_MAX, le=ID_MAX)]
Tokens: TypeAlias = Annotated[int, Meta(ge=1, le=10**9)]
Percent: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
_UP_TO_ID_MAX: Final = (
    "[0-9]{1,15}|[0-8][0-9]{15}|900[0-6][0-9]{12}|90070[0-9]{11}|90071[0-8][0-9]{10}"
    "|900719[0-8][0-9]{9}|9007199[01][0-9]{8}|90071992[0-4][0-9]{7}"
    "|900719925[0-3][0-9]{6}|9007199254[0-6][0-9]{5}|90071992547[0-3][0-9]{4}"
    "|9007199254740[0-8][0-9]{2}|90071992547409[0-8][0-9]|900719925474099[01]"
)
Decimal: TypeAlias = Annotated[str, Meta(pattern=rf"^-?(?:{_UP_TO_ID_MAX})\Z")]
JobId: TypeAlias = Number | Decimal

Until: TypeAlias = Literal["done", "start"]
"""How long a job holds its key."""
OnConflict: TypeAlias = Literal["return", "reject", "replace"]
"""What becomes of a push whose key is held."""
State: TypeAlias = Literal["ready", "delayed", "active", "dead", "blocked"]
"""Where a job is."""
JobOrder: TypeAlias = Literal["id", "turn"]
"""How JOBS lists: all by id, or the first in the order in which they will come."""
Deed: TypeAlias = Literal["cancel", "promote", "retry", "purge"]
"""What BULK does to jobs."""
Missed: TypeAlias = Literal["one", "skip", "all"]
"""What becomes of a cron's ticks that nobody saw come."""
Overlap: TypeAlias = Literal["skip", "allow"]
"""What becomes of a cron's tick while a job of an earlier one is there."""
EventKind: TypeAlias = Literal[
    "stats",
    "failed",
    "lost",
    "dead",
    "revived",
    "cancelled",
    "expired",
    "removed",
    "paused",
    "cron",
]
"""What a subscriber can be told of."""
Every: TypeAlias = Annotated[int, Meta(ge=EVERY_MS_MIN, le=ID_MAX)]
"""How often counts can be told, in milliseconds."""
OnExpire: TypeAlias = Literal["remove", "dead"]
"""What becomes of a job whose time to live is over."""
OnParentFailure: TypeAlias = Literal["wait", "fail", "run"]
"""What becomes of a job when one that it depends on is dead."""
Order: TypeAlias = Literal["strict", "turns"]
"""Which of several queues a pull tries first."""
