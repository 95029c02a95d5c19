"""Options that commands share, the kinds of their values, and the session they make."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import click
from click.shell_completion import CompletionItem

from magicqueue import commands
from magicqueue.address import VARIABLE, Address, parse_address
from magicqueue.errors import BadAddress, BadRequest, MagicQueueError
from magicqueue.plain_text import plain
from magicqueue.sources import Names
from magicqueue.spans import span_ms
from magicqueue.sync_queue import SyncQueue
from magicqueue.wire.limits import ID_MAX

R = TypeVar("R")
if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # before 8.3 it is of nothing
_Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

_WAIT_S_MAX: Final = 366 * 86_400.0
_YEAR_10000_S: Final = 253_402_300_800
_COMPLETE_S: Final = 0.5
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
  141  nobody reads the output any more
"""


def _span(text: str | float) -> float:
    """Read "500ms", "30s", "5m", "1h30m", "2d" or "30" (seconds)."""
    if isinstance(text, (int, float)):
        return float(text)
    try:
        return span_ms(text, plain_ms=1000) / 1000
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error} (a plain number is seconds)") from None


def _moment(text: str) -> float:
    """Read an ISO 8601 time (local unless it has a zone) or epoch seconds."""
    try:
        if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
            seconds = float(text)
        else:
            seconds = datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is no time: write it as 2030-01-31T08:00 (local time),"
            " 2030-01-31T08:00:00Z, or seconds since 1970"
        ) from None
    if seconds < 0:
        raise click.BadParameter(f"{text!r} is before 1970")
    if seconds >= _YEAR_10000_S:
        raise click.BadParameter(
            f"{text!r} is beyond the year 9999: a plain number is seconds since 1970"
        )
    return seconds


class _Whole(_ParamType):
    """A whole number within bounds."""

    name = "number"

    def __init__(self, least: int, most: int | None) -> None:
        self._least = least
        self._most = most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it. Raises BadParameter."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is no whole number {self._bounds()}", param, ctx)
        if number < self._least or (self._most is not None and number > self._most):
            self.fail(
                f"{value} is out of range: it is a number {self._bounds()}", param, ctx
            )
        return number

    def _bounds(self) -> str:
        if self._most is None:
            return f"of {self._least:,} or more"
        return f"from {self._least:,} to {self._most:,}"


def whole(least: int, most: int | None = None) -> _Whole:
    """Make the kind of a whole number from `least` to `most`."""
    return _Whole(least, most)


class _Queue(_ParamType):
    """A queue's name."""

    name = "queue"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Check it as far as the client can. Raises BadParameter."""
        try:
            return commands.queue_name(value)
        except BadRequest as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Ask the server which queues there are; none if it does not answer at once."""
        del param
        try:
            url = ctx.params.get("url") or os.environ.get(VARIABLE)
            with SyncQueue(_ANY_QUEUE, url, timeout=_COMPLETE_S) as client:
                names = [counts.name for counts in client.queues()]
        except MagicQueueError:
            return []
        return [
            CompletionItem(name)
            for name in sorted(names)
            if name.startswith(incomplete) and plain(name) == name
        ]


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
QUEUE: Final = _Queue()
ADDRESS: Final = kind("address", _address)
JOB_ID: Final = whole(1, ID_MAX)


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

    def queue(self, name: Names = _ANY_QUEUE) -> SyncQueue:
        """Make a client; the name is needless for what concerns the whole server."""
        return SyncQueue(name, self.url, timeout=self.timeout_s)


url_option: _Decorator = click.option(
    "--url",
    type=ADDRESS,
    envvar="MAGICQUEUE_URL",
    help="Where the server is. [env: MAGICQUEUE_URL; default: localhost:6789]",
)
json_option: _Decorator = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Write JSON, one document a line.",
)
timeout_option: _Decorator = click.option(
    "--timeout",
    type=SPAN,
    default=commands.TIMEOUT_S,
    help="How long the server may be silent while it owes an answer. [default: 30s]",
)


def wait_s(span_s: float) -> float:
    """Keep a span that this machine waits within what its clocks can count."""
    return min(max(span_s, 0.001), _WAIT_S_MAX)


def with_session(function: Callable[..., R]) -> Callable[..., R]:
    """Add --url, --timeout and --json, and pass the session they make first."""

    @url_option
    @timeout_option
    @json_option
    @wraps(function)
    def with_options(
        *args: Any, url: str | None, timeout: float, as_json: bool, **kwargs: Any
    ) -> R:
        return function(*args, Session(url, wait_s(timeout), as_json), **kwargs)

    return with_options
