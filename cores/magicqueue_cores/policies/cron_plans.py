"""What is asked for a cron, and how far it is: two facts, as a log has them."""

from typing import Final, Literal

import msgspec

from magicqueue_cores.policies.wishes import Wishes

CATCHUP_MS: Final = 86_400_000


class CronPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for a cron. Later versions add fields with a default.

    schedule, or every_ms (0: none) and offset_ms: when it ticks. start_ms, end_ms: no tick
    is before or after them; limit: so many jobs at most; 0 is no bound. spread_ms: a job
    runs up to that long after its tick. missed, catchup_ms, overlap: see `ticking`.
    from_file: whether it is a server's configuration that says so.
    """

    queue: str
    payload: bytes
    schedule: str | None = None
    every_ms: int = 0
    offset_ms: int = 0
    tz: str = "UTC"
    start_ms: int = 0
    end_ms: int = 0
    limit: int = 0
    spread_ms: int = 0
    missed: Literal["one", "skip", "all"] = "one"
    catchup_ms: int = CATCHUP_MS
    overlap: Literal["skip", "allow"] = "skip"
    priority: int = 0
    max_attempts: int = 25
    backoff_ms: int = 0
    jitter: bool = False
    wishes: Wishes | None = None
    from_file: bool = False

    @property
    def times(self) -> tuple[str | None, int, int, str, int, int]:
        """What another next run follows from."""
        return (
            self.schedule,
            self.every_ms,
            self.offset_ms,
            self.tz,
            self.start_ms,
            self.end_ms,
        )

    def says_same(self, other: "CronPlan") -> bool:
        """Whether this asks for nothing else, whoever asks."""
        return self == msgspec.structs.replace(other, from_file=self.from_file)


class CronState(msgspec.Struct, array_like=True):
    """How far a cron is. Later versions add fields at the end, with a default.

    after_ms: its next run is its first tick after that. Of ticks: `fired` made a job,
    `skipped` were dropped for a job of before or a unique key, `refused` since nothing was
    taken in until the next one. `missed`: how often some were, so that they were dropped.
    """

    after_ms: int
    created_ms: int
    paused: bool = False
    last_tick_ms: int = 0
    last_job: int = 0
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    refused: int = 0


encode_plan: Final = msgspec.msgpack.Encoder().encode
decode_plan: Final = msgspec.msgpack.Decoder(CronPlan).decode
encode_state: Final = msgspec.msgpack.Encoder().encode
decode_state: Final = msgspec.msgpack.Decoder(CronState).decode
