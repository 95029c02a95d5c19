"""Marks and facts of a log as plain values, for whoever looks at one."""

from typing import Any, Final

import msgspec

from magicqueue_cores.policies.ground import CRON, WINDOW
from magicqueue_cores.policies.mark_texts import told_in
from magicqueue_cores.policies.shelf import parts_of

_decode: Final = msgspec.msgpack.Decoder().decode


def shown_mark(text: bytes) -> dict[str, Any] | None:
    """Show what the text of a `Marked` record says of a job; None if it is no such text."""
    if not text:
        return {}
    try:
        told = msgspec.structs.asdict(told_in(text))
        return {name: value for name, value in told.items() if value}
    except (msgspec.MsgspecError, ValueError):  # a string in it may be no UTF-8
        return None


def shown_fact(space: str, value: bytes) -> dict[str, Any] | None:
    """Show the value of a `Kept` record; None if it is no such value."""
    try:
        until_ms, number, body = parts_of(value)
        told: Any = int.from_bytes(body) if space == WINDOW else _decode(body)
        if space == CRON:
            told["payload"] = _text(told["payload"])
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return None
    if isinstance(told, list):
        told = [_text(one) if isinstance(one, bytes) else one for one in told]
    return {"until_ms": until_ms, "number": number, "value": told}


def _text(told: bytes) -> str:
    return told.decode("utf-8", "backslashreplace")
