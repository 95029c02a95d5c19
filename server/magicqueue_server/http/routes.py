"""Which path is which command, and how its fields are said.

`POST /v1/{command}` takes the request object of the protocol without its `cmd`. The other
paths are shorter ways to say some of them.
"""

from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from msgspec import Raw

from magicqueue.wire.events import RARE
from magicqueue.wire.requests import COMMANDS
from magicqueue_server.http.messages import Head, HttpError

PULL_WAIT_MS: Final = 60_000
"""A pull or WAIT of no `timeout`, or a longer one, waits so long: proxies give up then."""
NOT_HERE: Final = frozenset({"AUTH", "SUBSCRIBE"})
"""AUTH is the Authorization header; a subscription has no one reply: `GET /v1/events`."""
_WAITS: Final = frozenset({"PULL", "PULLB", "WAIT"})
_ACTIONS: Final = ("push", "pull", "pause", "resume", "drain")


_OF_JOBS: Final[dict[str, type]] = {
    "queue": str,
    "state": str,
    "order": str,
    "count": int,
    "after": str,
    "contains": str,
    "data_max": int,
}
_OF_CRONS: Final[dict[str, type]] = {"count": int, "after": str, "name": str, "runs": int}


_OF_EVENTS: Final[dict[str, type]] = {"kinds": list, "queues": list, "every": int}
"""Lists are given by saying the field several times."""


class Target(msgspec.Struct, frozen=True):
    """What a request is about."""

    route: str
    """The path's pattern, as the OpenAPI document and the metrics name it."""
    method: str
    command: str = ""
    """Empty: it is answered without the engine."""
    query: dict[str, type] = {}
    """Fields that may stand in the query, and what they are."""
    given: dict[str, str | int] = {}
    """Fields that the path says."""
    streams: bool = False
    """What it brings has no end."""

    @property
    def takes_body(self) -> bool:
        """Whether its fields are a JSON body."""
        return self.method == "POST"


def _fixed() -> dict[str, list[Target]]:
    targets = [
        Target("/health", "GET"),
        Target("/ready", "GET"),
        Target("/metrics", "GET"),
        Target("/v1/openapi.json", "GET"),
        Target("/v1/token", "GET"),
        Target("/v1/stats", "GET", "STATS", {"queue": str}),
        Target("/v1/jobs", "GET", "JOBS", _OF_JOBS),
        Target("/v1/crons", "GET", "CRONLIST", _OF_CRONS),
        Target("/v1/events", "GET", "SUBSCRIBE", _OF_EVENTS, streams=True),
        Target("/v1/queues", "GET", "QUEUES", {"count": int, "after": str, "prefix": str}),
    ]
    targets += [
        Target(f"/v1/{name.lower()}", "POST", name) for name in COMMANDS.keys() - NOT_HERE
    ]
    paths: dict[str, list[Target]] = {}
    for target in targets:
        paths.setdefault(target.route, []).append(target)
    return paths


FIXED: Final = _fixed()
"""By path, for paths that name nothing."""
PAGE: Final = Target("/", "GET")
PAGE_FILE: Final = Target("/ui/{file}", "GET")
"""The dashboard, which is no part of what programs ask for."""
JOB: Final = Target("/v1/jobs/{id}", "GET", "GETJOB")
ON_QUEUES: Final = {
    action: Target(f"/v1/queues/{{queue}}/{action}", "POST", action.upper())
    for action in _ACTIONS
}
ALL: Final = [*(t for some in FIXED.values() for t in some), JOB, *ON_QUEUES.values()]
OPEN_TO_ALL: Final = frozenset({"/health", "/ready", PAGE.route, PAGE_FILE.route})
"""What needs no token."""


def find(head: Head) -> tuple[Target, str]:
    """Give what a request is about, and its query. Raises HttpError."""
    try:
        path, _, query = head.target.decode("ascii").partition("?")
    except UnicodeDecodeError:
        raise HttpError(400, "BAD_REQUEST", "the path is not ASCII: escape it") from None
    if not path.startswith("/"):
        raise HttpError(400, "BAD_REQUEST", "the request's target must begin with /")
    found = FIXED.get(path) or _with_names(path)
    if not found:
        raise HttpError(
            404, "NOT_FOUND", f"there is no {path[:100]!r}: see /v1/openapi.json"
        )
    method = "GET" if head.method == "HEAD" else head.method
    for target in found:
        if target.method == method:
            return target, query
    allowed = sorted(
        {t.method for t in found} | {"HEAD" for t in found if t.method == "GET"}
    )
    raise HttpError(
        405,
        "BAD_REQUEST",
        f"{found[0].route} takes {' and '.join(allowed)}",
        b"Allow: %b\r\n" % ", ".join(allowed).encode(),
    )


def _with_names(path: str) -> list[Target]:
    match path.split("/")[1:]:
        case [""]:
            return [PAGE]
        case ["ui", *names]:
            return [msgspec.structs.replace(PAGE_FILE, given={"file": "/".join(names)})]
        case ["v1", "jobs", job_id]:
            return [msgspec.structs.replace(JOB, given={"id": _text(job_id)})]
        case ["v1", "queues", queue, action] if action in ON_QUEUES:
            given = {"queue": _text(queue)}
            return [msgspec.structs.replace(ON_QUEUES[action], given=given)]
    return []


def _text(segment: str) -> str:
    """Read what a part of a path stands for."""
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise HttpError(400, "BAD_REQUEST", "the path is not UTF-8, escaped") from None


def fields_of_query(target: Target, query: str) -> dict[str, Any]:
    """Read the fields that a query says. Raises HttpError."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=100
        )
    except ValueError:
        raise HttpError(400, "BAD_REQUEST", "the query cannot be read") from None
    fields: dict[str, Any] = {}
    for name, text in pairs:
        kind = target.query.get(name)
        if kind is int and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            raise HttpError(400, "BAD_REQUEST", f"{name} must be a whole number")
        if kind is list:
            fields.setdefault(name, []).append(text)
        elif kind is not None:
            fields[name] = kind(text)
    return fields


_DIGITS: Final = 16
_table: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


def line_of(target: Target, query: str, body: bytes) -> bytes:
    """Make the command line of a request. Raises HttpError.

    A line end in JSON is white space: inside of a string it would not be JSON.
    """
    fields: dict[str, object] = {"cmd": target.command}
    if target.takes_body:
        try:
            table = _table(body or b"{}")
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise HttpError(
                400, "BAD_JSON", f"the body must be one JSON object: {error}"
            ) from None
        table.pop("cmd", None)
        table.pop("token", None)
        fields |= table
    else:
        fields |= fields_of_query(target, query)
    fields |= target.given
    if target.streams:
        fields.setdefault("kinds", RARE)
    if target.command in _WAITS:
        fields["timeout"] = _wait_of(fields.get("timeout"))
    line = _encode(fields)
    if b"\n" in line or b"\r" in line:
        line = line.replace(b"\r", b" ").replace(b"\n", b" ")
    return line + b"\n"


def _wait_of(timeout: object) -> object:
    """Give how long a pull may wait; what is no time is left for the engine to refuse."""
    if timeout is None or not isinstance(timeout, Raw):
        return PULL_WAIT_MS
    text = bytes(timeout)
    if text == b"null" or (text.isdigit() and len(text) > len(str(PULL_WAIT_MS))):
        return PULL_WAIT_MS
    return min(int(text), PULL_WAIT_MS) if text.isdigit() else timeout
