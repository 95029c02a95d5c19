"""What a push may ask for one job beyond what cores know."""

from typing import Literal

import msgspec


class Wishes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a push asks for one job. Times are spans in milliseconds; None is nothing.

    unique_key: at most one live job of the queue has it. until: what ends that, the
    job's end or its first hand-out; or unique_for_ms: that time from the push, whatever
    becomes of the job. on_conflict: what a push gets whose key is held.
    ttl_ms: the job is not handed out that long after the push; on_expire: it is removed
    then, or dead. timeout_ms: an attempt ends that long after its hand-out.
    keep_result_ms: the job's end is known for that long.
    """

    unique_key: str | None = None
    until: Literal["done", "start"] = "done"
    unique_for_ms: int | None = None
    on_conflict: Literal["return", "reject", "replace"] = "return"
    ttl_ms: int | None = None
    on_expire: Literal["remove", "dead"] = "remove"
    timeout_ms: int | None = None
    keep_result_ms: int | None = None
