"""Who waits for a job to end (WAIT), or to be cancelled (HEARTBEAT with `wait`).

A session waits for one of these at a time, and only as long as nothing follows: a further
line ends the wait as if its time were over, so one connection can serve any number.
Policies tell of ends and cancels while a command is at work; those who wait hear of them
when it is done.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol, cast

import msgspec
from msgspec import Raw

from magicqueue.errors import BadRequest, RequestError, TooLarge
from magicqueue.wire import replies
from magicqueue.wire.fields import ids_or_id
from magicqueue.wire.limits import WAIT_JOBS_MAX, Limits
from magicqueue.wire.replies import EndedJob
from magicqueue.wire.requests import NO_RID, Heartbeat, Wait
from magicqueue_cores.contract import NEVER_MS, Core, JobView
from magicqueue_cores.policies import Ending, Policies
from magicqueue_server.columns import JobDefaults
from magicqueue_server.deadlines import Deadlines
from magicqueue_server.repeats import job_of
from magicqueue_server.session import Session
from magicqueue_server.settling import extended

_ID_BYTES: Final = 256
"""About what one job that is waited for takes here."""


class Waiting(msgspec.Struct, eq=False):
    """A session that waits for something to become of jobs."""

    session: Session
    rid: Raw
    ids: list[int]
    deadline_ms: int


class Beating(Waiting, eq=False):
    """One that waits for one of its own jobs to be cancelled."""

    attempts: list[int] | None
    lease_ms: int


class Parts(Protocol):
    """What the waits need of the engine that they are part of, as the pulls do."""

    core: Core
    limits: Limits
    defaults: JobDefaults
    finish: Callable[[Session, bytes], None]
    """Gives a parked session its reply."""


class Waits:
    """WAIT and HEARTBEAT, and everybody who waits in one of them."""

    def __init__(self, policies: Policies, parts: Parts) -> None:
        self.check: Callable[[], None] = lambda: None
        """Raises RequestError if the log takes nothing (set where there is one)."""
        self.depend: Callable[[], None] = lambda: None
        """Has the next reply wait until the log has what was done so far."""
        self.news: Final[list[tuple[int, bool]]] = []
        """Jobs that ended, or (True) were cancelled while at work, for `serve`."""
        self.ahead_ms = 0
        """By how much time is ahead of the wall clock, which replies tell."""
        policies.on_end = lambda job_id: self.news.append((job_id, False))
        policies.on_doomed = lambda job_id: self.news.append((job_id, True))
        self._policies = policies
        self._core = parts.core
        self._limits = parts.limits
        self._defaults = parts.defaults
        self._finish = parts.finish
        self._by_session: dict[int, Waiting] = {}
        self._by_job: dict[int, dict[int, Waiting]] = {}
        self.deadlines = Deadlines(self._still)
        self._stopping = False

    def __len__(self) -> int:
        return len(self._by_session)

    def wait(self, session: Session, request: Wait, now_ms: int) -> bytes:
        """WAIT: tell which of the jobs have ended, or wait for the first: then b""."""
        ids = self._jobs_of(request, now_ms)
        self._refuse_others(ids, now_ms)
        found = self._ended(ids, now_ms)
        timeout_ms = request.timeout
        waiting = Waiting(
            session,
            request.rid,
            ids,
            NEVER_MS if timeout_ms is None else now_ms + timeout_ms,
        )
        if found or self._is_over(waiting, now_ms):
            self.depend()
            return replies.counted(request.rid, jobs=found)
        return self._park(waiting)

    def heartbeat(self, session: Session, request: Heartbeat, now_ms: int) -> bytes:
        """HEARTBEAT with `wait`: told at once if there is something to tell, else later."""
        self.check()
        ids, attempts = ids_or_id("HEARTBEAT", request)
        waiting = Beating(
            session,
            request.rid,
            ids,
            now_ms + (request.wait or 0),
            attempts,
            request.lease or self._defaults.lease_ms,
        )
        beats = self._policies.heartbeat(ids, attempts, waiting.lease_ms, now_ms)
        if beats.missing or beats.cancelled or self._is_over(waiting, now_ms):
            return extended(ids, beats, request.rid)
        return self._park(waiting)

    def serve(self, now_ms: int) -> None:
        """Tell those who wait for what has happened."""
        while self.news:
            news = self.news.copy()
            self.news.clear()
            ended = {job_id for job_id, doomed in news if not doomed}
            told: dict[int, Waiting] = {}
            for job_id, doomed in news:
                for waiting in self._by_job.get(job_id, {}).values():
                    if not doomed or isinstance(waiting, Beating):
                        told[waiting.session.id] = waiting
            for waiting in told.values():
                self._remove(waiting)
                ids = [job_id for job_id in waiting.ids if job_id in ended]
                self._finish(waiting.session, self._reply(waiting, ids, now_ms))

    def time_out(self, now_ms: int) -> None:
        """Answer everybody whose time is over."""
        for waiting in self.deadlines.overdue(now_ms):
            self._dismiss(waiting, now_ms)

    def hurry(self, session: Session, now_ms: int) -> bool:
        """Answer a session as if its time were over; False if it does not wait."""
        waiting = self._by_session.get(session.id)
        if waiting is not None:
            self._dismiss(waiting, now_ms)
        return waiting is not None

    def postpone(self, by_ms: int) -> None:
        """Let the time of all who wait be over that much later."""
        self.deadlines.postpone(by_ms)

    def waits(self, session: Session) -> bool:
        """Whether this session waits. O(1)."""
        return session.id in self._by_session

    def forget(self, session: Session) -> bool:
        """Drop the wait of a session that is gone; False if it does not wait."""
        waiting = self._by_session.get(session.id)
        if waiting is not None:
            self._remove(waiting)
        return waiting is not None

    def stop(self, now_ms: int) -> None:
        """Answer everybody as timed out, and let nobody wait from now on."""
        self._stopping = True
        for waiting in list(self._by_session.values()):
            self._dismiss(waiting, now_ms)

    def _jobs_of(self, request: Wait, now_ms: int) -> list[int]:
        if request.ids is None:
            return [
                job_of(
                    "WAIT: give ids (a list)", self._policies, self._limits, request, now_ms
                )
            ]
        if request.queue is not None or request.req_key is not None:
            raise BadRequest("WAIT: give ids, or queue and req_key, not both")
        if not request.ids:
            raise BadRequest("WAIT: ids is empty: name the jobs to wait for")
        if len(request.ids) > WAIT_JOBS_MAX:
            raise TooLarge(
                f"WAIT: ids has {len(request.ids)} items: the limit is {WAIT_JOBS_MAX}"
                " (send several)"
            )
        return list(dict.fromkeys(map(int, request.ids)))

    def _refuse_others(self, ids: list[int], now_ms: int) -> None:
        """Raise BadRequest if a job will end without anybody being told."""
        for index, job_id in enumerate(ids):
            if self._policies.waits_for(job_id):
                continue
            if self._policies.ending(job_id, now_ms) is None and self._view(job_id, now_ms):
                raise BadRequest(
                    f"WAIT: ids[{index}]: nobody is told when job {job_id} ends: push a job"
                    " with keep_result to wait for it"
                )

    def _ended(self, ids: Iterable[int], now_ms: int) -> list[EndedJob]:
        """Tell those that have ended, as many as a reply may hold but one at least."""
        found: list[EndedJob] = []
        room = self._limits.reply_payload_bytes_max
        for job_id in ids:
            ending = self._policies.ending(job_id, now_ms)
            if ending is not None:
                room -= len(ending.result or b"")
                if found and room < 0:
                    break
                found.append(self._told(ending, now_ms))
            elif not self._policies.waits_for(job_id):
                found.append(EndedJob(id=job_id, state="unknown"))
        return found

    def _told(self, ending: Ending, now_ms: int) -> EndedJob:
        told = EndedJob(
            id=ending.id,
            state=ending.state,
            queue=ending.queue,
            result=Raw(ending.result or b"null"),
            finished_at=ending.finished_at_ms - self.ahead_ms,
            attempts=ending.attempts,
        )
        view = self._view(ending.id, now_ms) if ending.state == "dead" else None
        if view is not None:
            told.error, told.reason = view.error, view.reason
        return told

    def _view(self, job_id: int, now_ms: int) -> JobView | None:
        # policies are only above cores that answer at once
        return cast("JobView | None", self._core.job(job_id, now_ms))

    def _is_over(self, waiting: Waiting, now_ms: int) -> bool:
        """Whether there is no waiting: no time, a line behind it, or nobody who waits."""
        session = waiting.session
        return (
            waiting.deadline_ms <= now_ms
            or self._stopping
            or session.closed
            or session.last_words is not None
            or session.backlog_bytes > 0
        )

    def _park(self, waiting: Waiting) -> bytes:
        session = waiting.session
        session.parked = True
        session.parked_bytes = _ID_BYTES * (1 + len(waiting.ids))
        if waiting.rid is not NO_RID:
            waiting.rid = waiting.rid.copy()  # without the line that it is a part of
            session.parked_bytes += len(memoryview(waiting.rid))
        self._by_session[session.id] = waiting
        for job_id in waiting.ids:
            self._by_job.setdefault(job_id, {})[session.id] = waiting
        self.deadlines.add(waiting, len(self._by_session))
        return b""

    def _remove(self, waiting: Waiting) -> None:
        session_id = waiting.session.id
        del self._by_session[session_id]
        for job_id in waiting.ids:
            line = self._by_job.get(job_id, {})  # none: it was named twice
            line.pop(session_id, None)
            if not line:
                self._by_job.pop(job_id, None)

    def _dismiss(self, waiting: Waiting, now_ms: int) -> None:
        self._remove(waiting)
        self._finish(waiting.session, self._reply(waiting, (), now_ms))

    def _reply(self, waiting: Waiting, ids: Iterable[int], now_ms: int) -> bytes:
        """Give the reply to a wait that is over; ids: those that have ended meanwhile."""
        if not isinstance(waiting, Beating):
            return replies.counted(waiting.rid, jobs=self._ended(ids, now_ms))
        try:
            self.check()
        except RequestError as error:  # the log failed meanwhile
            return replies.refused(error, waiting.rid)
        beats = self._policies.heartbeat(
            waiting.ids, waiting.attempts, waiting.lease_ms, now_ms
        )
        return extended(waiting.ids, beats, waiting.rid)

    def _still(self, waiting: Waiting) -> bool:
        return self._by_session.get(waiting.session.id) is waiting
