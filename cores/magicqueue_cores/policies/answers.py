"""What policies answer, and how they refuse."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from magicqueue_cores.contract import CoreError, Failed, Settled
from magicqueue_cores.policies.links import Rule

EndState: TypeAlias = Literal["done", "cancelled", "expired", "dead"]
END_STATES: Final[tuple[EndState, ...]] = ("done", "cancelled", "expired", "dead")


class PushAnswer(msgspec.Struct):
    """The ids of a push, one an item, in order (a range where it can be one).

    duplicates: indexes of items that made no job and changed none: the id is the holder's.
    replaced: indexes of items that gave the holder of their key new data.
    repeated: a push with this request key was answered before, with these ids.
    """

    ids: Sequence[int]
    duplicates: list[int]
    replaced: list[int]
    repeated: bool = False


class Ending(msgspec.Struct):
    """How a job ended. `result` is JSON as it was sent, None where there is none."""

    id: int
    state: EndState
    result: bytes | None
    finished_at_ms: int
    attempts: int
    queue: str


class Failures(Failed):
    """As `contract.Failed`; `ended` has the jobs that ended otherwise than by dying.

    Those (cancelled while at work, or expired meanwhile) have None in `states`, and are
    not in `missing`.
    """

    ended: dict[int, EndState]


class Beats(Settled):
    """As `contract.Settled` of a heartbeat; `cancelled`: those that need not go on."""

    cancelled: list[int]


class Cancelled(msgspec.Struct):
    """What a cancel did: jobs removed, jobs at work that are flagged, and the others."""

    cancelled: list[int]
    cancelling: list[int]
    missing: list[int]


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How far a job is, in its worker's words."""

    percent: float | None
    note: str | None


class Known(msgspec.Struct):
    """What policies know of a job that is here (also of one they know nothing of).

    attempt_until_ms: the running attempt ends then, whatever its lease says; None: never.
    """

    unique_key: str | None = None
    group: str | None = None
    expires_at_ms: int | None = None
    timeout_ms: int | None = None
    keep_result_ms: int | None = None
    attempt_until_ms: int | None = None
    cancelled: bool = False
    progress: Progress | None = None
    parents: tuple[int, ...] = ()
    on_parent_failure: Rule | None = None
    cron: tuple[str, int] | None = None
    """The cron that pushed it, and the tick."""


class PolicyStats(msgspec.Struct):
    """What is kept now, and what was dropped for a bound since the start."""

    marked: int
    unique_keys: int
    windows: int
    req_keys: int
    results: int
    result_bytes: int
    cancelling: int
    groups: int
    limited: int
    throttled: int
    windows_dropped: int
    req_keys_dropped: int
    results_dropped: int
    progress_dropped: int
    subscribers: int = 0
    events_dropped: int = 0


class Duplicate(CoreError):
    """A unique key is held by another job, and that was not to be.

    index: the item of the push (0 for a retry). holder: the job that has the key, None if
    it is an earlier item of the same push.
    """

    def __init__(self, index: int, holder: int | None, key: str) -> None:
        super().__init__(
            f"unique_key {key!r} is held by "
            + ("an earlier job of this batch" if holder is None else f"job {holder}")
            + ": wait until it lets go, or push with another key or on_conflict"
        )
        self.index = index
        self.holder = holder


class BadRepeat(CoreError):
    """A request key was used before for a push of another number of jobs."""


class BadWish(CoreError):
    """An item of a push asks for what cannot be: `index` says which."""

    def __init__(self, index: int, sentence: str) -> None:
        super().__init__(sentence)
        self.index = index


class TooLarge(CoreError):
    """A result is larger than `PolicyOptions.result_bytes_max`: `index` says which."""

    def __init__(self, index: int, sentence: str) -> None:
        super().__init__(sentence)
        self.index = index
