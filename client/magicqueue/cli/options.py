"""Options that commands share, the kinds of their values, and the session they make."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final, TypeVar

import click

from magicqueue import commands
from magicqueue.address import Address, parse_address
from magicqueue.errors import BadAddress, BadRequest
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.limits import ID_MAX

R = TypeVar("R")

_SPAN: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|min|h|d)?")
_SPAN_S: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_SPAN_S_MAX: Final = ID_MAX / 1000
_ANY_QUEUE: Final = "any"


def manual(*examples: str, refused: str = "the server refused it") -> str:
    """Give what a command's help ends with: examples, and what exit codes mean."""
    shown = "\n".join(f"  {example}" for example in examples)
    return f"""\b
Examples:
{shown}

\b
Exit codes:
  0  done
  1  {refused}
  2  wrong usage
  3  no server, or none that answers
  130  interrupted
"""


def _span(text: str | float) -> float:
    """Read "500ms", "30s", "5m", "1.5h", "2d" or "30" (seconds)."""
    if isinstance(text, (int, float)):
        return float(text)
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(
            f'{text!r} is no span of time: write it as "500ms", "30s", "5m", "1h" or "2d"'
            " (a plain number is seconds)"
        )
    seconds = float(match[1]) * _SPAN_S[match[2] or "s"]
    if seconds > _SPAN_S_MAX:
        raise click.BadParameter(f"{text!r} is too long")
    return seconds


def _moment(text: str) -> datetime:
    """Read an ISO 8601 time (local unless it has a zone) or epoch seconds."""
    try:
        if re.fullmatch(r"\d+(\.\d*)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is no time: write it as 2030-01-31T08:00 (local time),"
            " 2030-01-31T08:00:00Z, or seconds since 1970"
        ) from None


def _queue(text: str) -> str:
    """Check a queue's name as far as the client can."""
    try:
        return commands.queue_name(text)
    except BadRequest as error:
        raise click.BadParameter(str(error)) from None


def _address(text: str) -> str:
    """Check that a server's address can be read."""
    try:
        parse_address(text)
    except BadAddress as error:
        raise click.BadParameter(str(error)) from None
    return text


def kind(name: str, read: Callable[[Any], R]) -> Any:
    """Make an option's type of a function that reads its text."""
    made = click.types.FuncParamType(read)
    made.name = name
    return made


SPAN: Final = kind("span", _span)
MOMENT: Final = kind("time", _moment)
QUEUE: Final = kind("queue", _queue)
ADDRESS: Final = kind("address", _address)
JOB_ID: Final = click.IntRange(1, ID_MAX)


@dataclass(frozen=True, slots=True)
class Session:
    """The server that a command talks to, and how it answers its user."""

    url: str | None
    timeout_s: float
    json: bool

    @property
    def address(self) -> Address:
        """Where the server is."""
        return parse_address(self.url)

    def queue(self, name: str = _ANY_QUEUE) -> SyncQueue:
        """Make a client; the name is needless for what concerns the whole server."""
        return SyncQueue(name, self.url, timeout=self.timeout_s)


def note_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's signature
    """Let errors be JSON too."""
    if value and ctx.find_root().obj is not None:
        ctx.find_root().obj.json = True
    return value


url_option = click.option(
    "--url",
    type=ADDRESS,
    envvar="MAGICQUEUE_URL",
    help="Where the server is. [env: MAGICQUEUE_URL; default: localhost:6789]",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=note_json,
    help="Write JSON, one document a line.",
)
timeout_option = click.option(
    "--timeout",
    type=SPAN,
    default=commands.TIMEOUT_S,
    help="How long the server may be silent while it owes an answer. [default: 30s]",
)


def with_session(function: Callable[..., R]) -> Callable[..., R]:
    """Add --url, --timeout and --json, and pass the session they make first."""

    @url_option
    @timeout_option
    @json_option
    @wraps(function)
    def with_options(
        *args: Any, url: str | None, timeout: float, as_json: bool, **kwargs: Any
    ) -> R:
        return function(*args, Session(url, timeout or 0.001, as_json), **kwargs)

    return with_options
