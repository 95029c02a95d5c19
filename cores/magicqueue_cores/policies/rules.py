"""Limits of a queue: how many jobs at work, and how many handed out in a time."""

from typing import Final

import msgspec


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """A bucket of `burst` tokens, filled evenly with `jobs` per `per_ms`: one a job."""

    jobs: int
    per_ms: int
    burst: int


class Bounds(msgspec.Struct, frozen=True, array_like=True):
    """What bounds jobs that are handed out: of a queue, or of each single group of it."""

    concurrency: int | None = None
    """At most so many are at work; None is no bound."""
    rate: Rate | None = None


class Rule(Bounds, frozen=True, array_like=True):
    """The limits of a queue. Later versions add fields at the end, by default."""

    group: Bounds | None = None
    """Those of each single group."""

    @property
    def says_nothing(self) -> bool:
        """Whether it is as good as no rule."""
        return self == NO_RULE


NO_RULE: Final = Rule()

encode_rule: Final = msgspec.msgpack.Encoder().encode
decode_rule: Final = msgspec.msgpack.Decoder(Rule).decode
