"""Every command in the log, for --log-level debug: an engine that tells what it is fed.

It is chosen when the server starts, so a server that logs less pays nothing. Replies come
in the order of the requests of a session, whichever way they were made (by a handler, by a
core that executes lines, or later), so the two are matched by counting.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from magicqueue_server.access import without_token
from magicqueue_server.engine import Engine
from magicqueue_server.logs import event
from magicqueue_server.session import Session

_JUNK_CHARS_MAX: Final = 120
_WHITE_SPACE: Final = b" \t\r\n"

_log = logging.getLogger("magicqueue.trace")


class _Request(msgspec.Struct):
    facts: dict[str, Any]
    at_ns: int
    waits: bool = False


class TracingEngine(Engine):
    """Logs each request with its reply, and each that has to wait for one."""

    def open(self, write: Callable[[bytes], None], *others: Any) -> Session:
        """Begin a session whose replies are read along."""
        asked: deque[_Request] = deque()

        def write_and_tell(replies: bytes) -> None:
            write(replies)
            for reply in replies.split(b"\n")[:-1]:
                request = asked.popleft() if asked else None
                _tell(session, request, reply, self._turns.now_ns())

        session = super().open(write_and_tell, *others)
        self._asked[session.id] = asked
        return session

    def feed(self, session: Session, lines: bytes, now_ms: int) -> None:
        """Run lines that a session received."""
        asked, at_ns = self._asked[session.id], self._turns.now_ns()
        asked.extend(
            _Request(_described(line), at_ns)
            for line in lines.split(b"\n")
            if line.strip(_WHITE_SPACE)
        )
        super().feed(session, lines, now_ms)
        for request in asked:
            if not request.waits:
                request.waits = True
                event(_log, logging.DEBUG, "waits", session=session.id, **request.facts)

    def close(self, session: Session, now_ms: int) -> None:
        """End a session."""
        self._asked.pop(session.id, None)
        super().close(session, now_ms)

    def __init__(self, *arguments: Any) -> None:
        """Make an engine: see `Engine`."""
        self._asked: dict[int, deque[_Request]] = {}
        super().__init__(*arguments)


def _tell(session: Session, request: _Request | None, reply: bytes, now_ns: int) -> None:
    facts: dict[str, Any] = {"session": session.id}
    if request is not None:
        facts |= request.facts
        facts["ms"] = round((now_ns - request.at_ns) / 1e6, 3)
    event(_log, logging.DEBUG, "request", **facts, **_outcome(reply))


def _described(line: bytes) -> dict[str, Any]:
    """Say what a line asks for, as far as it can be read."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        shown = without_token(line)[:_JUNK_CHARS_MAX].decode("utf-8", "backslashreplace")
        return {"junk": shown, "bytes": len(line)}
    facts = {"cmd": fields.get("cmd")}
    for name in ("queue", "client", "id", "count", "delay", "timeout"):
        if name in fields:
            facts[name] = fields[name]
    for name in ("jobs", "ids"):
        if isinstance(fields.get(name), list):
            facts[name] = len(fields[name])
    return facts


def _outcome(reply: bytes) -> dict[str, Any]:
    """Say what a reply grants or refuses."""
    try:
        fields = msgspec.json.decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"reply_bytes": len(reply)}
    if not fields.get("ok"):
        return {"code": fields.get("code"), "why": fields.get("error")}
    facts: dict[str, Any] = {}
    job, jobs, ids = (fields.get(name) for name in ("job", "jobs", "ids"))
    if isinstance(job, dict):
        facts = {"got": job.get("id"), "attempt": job.get("attempts")}
    elif "job" in fields:
        facts = {"got": None}
    elif isinstance(jobs, list):
        facts = {"got": [one.get("id") for one in jobs[:10]], "of": len(jobs)}
    elif isinstance(ids, list) and ids:
        facts = {"first_id": ids[0], "stored": len(ids)}
    elif "id" in fields:
        facts = {"stored_id": fields["id"]}
    elif "state" in fields:
        facts = {"state": fields["state"]}
    return facts
