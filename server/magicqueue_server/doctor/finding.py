"""What a check has found."""

from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["ok", "warning", "failed", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `todo` says what to do, where there is something."""

    check: str
    state: State
    text: str
    todo: str = ""


def ok(check: str, text: str) -> Finding:
    """Make the finding that all is well."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, todo: str) -> Finding:
    """Make the finding that works now, and may not always."""
    return Finding(check, "warning", text, todo)


def failed(check: str, text: str, todo: str) -> Finding:
    """Make the finding that keeps a server from working, or will."""
    return Finding(check, "failed", text, todo)


def skipped(check: str, text: str, todo: str = "") -> Finding:
    """Make the finding of what could not be looked at."""
    return Finding(check, "skipped", text, todo)


def size(number: float) -> str:
    """Write a number of bytes as people read it."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004 - what a unit has of the one before
            return f"{number:,.0f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"
