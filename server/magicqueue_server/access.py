"""Who may do what: which commands a session may run, and on which queues.

A session without a token may say AUTH, HELLO and PING. With one it has its token's grant:
`Session.allowed` are the commands that need no further look, and `Session.checked` says
whether a line may be run by anything but the commands. So a token for all queues that may
push and work leaves nothing to look at on the way of its jobs; one with queue patterns has
each request looked at here, before anything happens.

Without `--tokens` there is no `Access`, and every session may do everything.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias

from magicqueue.errors import Forbidden, NotFound, TooLarge, Unauthorized
from magicqueue.wire import replies
from magicqueue.wire.requests import (
    COMMANDS,
    CRON_REQUESTS,
    PLAIN,
    Auth,
    FlowItem,
    Hello,
    Ping,
    Queues,
    Request,
)
from magicqueue_cores.contract import Core, JobView
from magicqueue_cores.pending import Answer, Pending
from magicqueue_server.session import Session
from magicqueue_server.tokens import SECRET_CHARS_MAX, Token, Tokens

Run: TypeAlias = Callable[[], Answer[bytes]]

_SCOPES: Final = {
    "produce": "PUSH PUSHB PUSHF WAIT GETJOB",
    "consume": "PULL PULLB ACK ACKB FAIL FAILB HEARTBEAT PROGRESS RELEASE THROTTLE",
    "read": "STATS QUEUES JOBS DEAD GETJOB GROUPS CRONLIST SUBSCRIBE",
}
"""What is in none of them needs `operate`; `admin` may do all."""
_FREE: Final[frozenset[type[Request]]] = frozenset({Auth, Hello, Ping})
_PROVES: Final[frozenset[type[Request]]] = frozenset({Auth, Hello})
_TELLS_OF_A_JOB: Final = frozenset({"GETJOB", "WAIT"})
_OWN_LINES: Final = {
    "produce": re.compile(rb'(?:\{"cmd":"PUSHB?"[^\n]*\n)+'),
    "consume": re.compile(rb'(?:\{"cmd":"(?:PULLB?|ACKB?|FAILB?|HEARTBEAT)"[^\n]*\n)+'),
}
"""Lines that a core may run by itself, of those who have one of the scopes only. A line
that names its command twice is nothing that a core runs."""
_IDS_MAX: Final = 10_000
_LINE_BYTES_UNKNOWN_MAX: Final = 64 * 1024
_TOKEN_IN_LINE: Final = re.compile(rb'("token"\s*:\s*)"?[^",}]*"?')


def scopes_of(command: str) -> frozenset[str]:
    """Give the scopes of which one is needed for a command."""
    named = {scope for scope, text in _SCOPES.items() if command in text.split()}
    return frozenset((named or {"operate"}) | {"admin"})


_NAMES: Final = {kind: name for of in (COMMANDS, PLAIN) for name, kind in of.items()}
_NEEDS: Final = {kind: scopes_of(name) for kind, name in _NAMES.items()}


class Access:
    """Keeps the tokens, and looks at what sessions ask for. `core` tells of jobs."""

    def __init__(self, tokens: Tokens, core: Core, wall_ms: Callable[[], int]) -> None:
        self.tokens = tokens
        self._core = core
        self._wall_ms = wall_ms

    def begin(self, session: Session) -> None:
        """Let a new session do no more than say who it is."""
        session.look = self.run
        session.token = None
        session.checked = True
        session.quick = None
        session.allowed = frozenset({Ping})

    def prove(self, session: Session, secret: str) -> Token:
        """Give a session what its token allows. Raises Unauthorized."""
        token = self.tokens.find(secret) if len(secret) <= SECRET_CHARS_MAX else None
        if token is None:
            raise Unauthorized("the token is not known here: ask who runs the server")
        if not token.holds_at(self._wall_ms()):
            raise Unauthorized(f"the token {token.name!r} has expired: ask for a new one")
        self.grant(session, token)
        return token

    def find(self, secret: str) -> Token | None:
        """Give the token of a secret, if it is good now."""
        token = self.tokens.find(secret)
        return token if token is not None and token.holds_at(self._wall_ms()) else None

    def grant(self, session: Session, token: Token) -> None:
        """Let a session do what a token allows."""
        session.token = token
        may = {kind for kind, needs in _NEEDS.items() if needs & token.scopes}
        if token.queues is None:
            session.allowed = frozenset((may | {Ping}) - _PROVES)
            has = token.scopes | (_OWN_LINES.keys() if "admin" in token.scopes else set())
            own = [lines for scope, lines in _OWN_LINES.items() if scope in has]
            session.checked = not own
            session.quick = own[0] if len(own) == 1 else None
        else:
            session.allowed = frozenset({Ping})
            session.checked = True
            session.quick = None

    def still_holds(self, session: Session) -> bool:
        """Whether a session's token, if it has shown one, is still good."""
        token = session.token
        if token is None:
            return True
        return token in self.tokens and token.holds_at(self._wall_ms())

    def run(
        self, session: Session, request: Request, now_ms: int, run: Run
    ) -> Answer[bytes]:
        """Run a request that is not `allowed` without a look, if the token allows it.

        Raises Unauthorized, after which the session ends, or Forbidden.
        """
        if isinstance(request, Auth):
            return about_token(request, self.prove(session, request.token))
        if isinstance(request, Hello):
            if request.token is not None:
                self.prove(session, request.token)
            return run()
        token = session.token
        name = _NAMES[type(request)]
        if token is None:
            raise Unauthorized(
                f"{name} needs a token: send AUTH first, or a token in HELLO"
                " (clients: token=… or MAGICQUEUE_TOKEN)"
            )
        needs = _NEEDS[type(request)]
        if not needs & token.scopes:
            wanted = " or ".join(sorted(needs - {"admin"}))
            raise Forbidden(
                f"{name} needs the scope {wanted}: token {token.name!r} lacks it"
            )
        if token.queues is None:
            return run()
        return self._run_if_covered(token, name, request, now_ms, run)

    def _run_if_covered(
        self, token: Token, name: str, request: Any, now_ms: int, run: Run
    ) -> Answer[bytes]:
        if isinstance(request, CRON_REQUESTS):
            _forbid(token, name, "crons, whose names are the whole server's")
        queues, ids = _objects_of(request)
        if len(ids) > _IDS_MAX:
            raise TooLarge(
                f"{name} names {len(ids)} jobs: a token of some queues may name"
                f" {_IDS_MAX} at once, since each is looked up"
            )
        for queue in queues:
            if not token.covers(queue):
                _forbid(token, name, f"the queue {queue!r}")
        if not queues and not ids:
            prefix = request.prefix if isinstance(request, Queues) else None
            if prefix is None or not token.covers_all_that_begin(prefix):
                what = "queues that begin so" if prefix else "the whole server"
                _forbid(token, name, f"{what}: name one of its queues")
        return self._run_if_its_jobs(token, name, ids, now_ms, run)

    def _run_if_its_jobs(
        self, token: Token, name: str, ids: list[int], now_ms: int, run: Run
    ) -> Answer[bytes]:
        """Run if all jobs that are here are of queues that the token is for."""

        def look(view: JobView | None, job_id: int) -> None:
            if view is not None and not token.covers(view.queue):
                _forbid(token, name, f"job {job_id}")
            if view is None and name in _TELLS_OF_A_JOB:
                raise NotFound(f"there is no job {job_id} in a queue of this token")

        for index, job_id in enumerate(ids):
            found = self._core.job(job_id, now_ms)
            if not isinstance(found, Pending):
                look(found, job_id)
                continue
            answer: Pending[bytes] = Pending()

            def go_on(
                settled: Pending[JobView | None],
                job_id: int = job_id,
                rest: list[int] = ids[index + 1 :],
                answer: Pending[bytes] = answer,
            ) -> None:
                try:
                    look(settled.result(), job_id)
                    later = self._run_if_its_jobs(token, name, rest, now_ms, run)
                except Exception as error:  # noqa: BLE001 - whoever waits shall have it
                    answer.reject(error)
                    return
                if isinstance(later, Pending):
                    later.then(lambda there: _pass_on(there, answer))
                else:
                    answer.resolve(later)

            found.then(go_on)
            return answer
        return run()


def refuse_if_long(line: bytes) -> None:
    """Do not even read a long line of somebody unknown. Raises Unauthorized."""
    if len(line) > _LINE_BYTES_UNKNOWN_MAX:
        raise Unauthorized(
            "a connection without a token may send short lines only: send AUTH first"
        )


def without_token(line: bytes) -> bytes:
    """Give a line as it may be logged."""
    return _TOKEN_IN_LINE.sub(rb"\1...", line)


def about_token(request: Auth, token: Token | None) -> bytes:
    """Answer AUTH; a server without tokens lets everybody do all."""
    if token is None:
        return replies.counted(request.rid, name=None, scopes=["admin"], queues=None)
    return replies.counted(
        request.rid,
        name=token.name,
        scopes=sorted(token.scopes),
        queues=token.queues,
        expires=token.expires_ms,
    )


def open_to_all(request: Auth, _now_ms: int) -> bytes:
    """AUTH, where there are no tokens."""
    return about_token(request, None)


def _pass_on(settled: Pending[bytes], answer: Pending[bytes]) -> None:
    try:
        value = settled.result()
    except Exception as error:  # noqa: BLE001 - whoever waits shall have it
        answer.reject(error)
    else:
        answer.resolve(value)


def _objects_of(request: Any) -> tuple[list[str], list[int]]:
    """Give the queues and jobs that a request names, wherever it does."""
    queues: list[str] = []
    ids: list[int] = []
    batch = [getattr(request, name, None) or () for name in ("jobs", "ids")]
    for item in (request, *batch[0], *batch[1]):
        if isinstance(item, (int, str)):
            ids.append(int(item))
            continue
        queue, job_id = getattr(item, "queue", None), getattr(item, "id", None)
        if queue is not None:
            queues.append(queue)
        if job_id is not None:
            ids.append(int(job_id))
        for one in getattr(item, "depends_on", None) or ():
            if not isinstance(item, FlowItem):
                ids.append(int(one))
            elif isinstance(one, int):  # others are refs
                ids.append(one)
    queues += getattr(request, "queues", None) or ()
    return queues, ids


def _forbid(token: Token, name: str, what: str) -> NoReturn:
    raise Forbidden(f"{name}: token {token.name!r} is not for {what}")
