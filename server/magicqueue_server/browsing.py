"""JOBS and BULK: pages of jobs, and one thing done to many.

Both look at up to 10,000 jobs and 16 MiB of data a request, in steps of which each is a
turn (`long_commands`), so that nobody waits for a search. What a step of BULK found it does
something to at once, before anything else can happen to these jobs.

A cursor is text that means nothing to a client: `i` and the id up to which all was looked
at, `t` and a place in an order, or, where groups take turns and jobs have no places, `n`
and how many were told. None of them needs anything to be kept here.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from magicqueue.errors import BadRequest
from magicqueue.wire import replies
from magicqueue.wire.limits import (
    BULK_JOBS_MAX,
    CONTAINS_BYTES_MAX,
    JOBS_DATA_MAX,
    JOBS_PAGE,
    JOBS_PAGE_MAX,
    SCANNED_BYTES_MAX,
    SCANNED_JOBS_MAX,
)
from magicqueue.wire.requests import Bulk, Jobs, Request
from magicqueue.wire.values import State
from magicqueue_cores.contract import (
    TURN_JOBS_MAX,
    Core,
    JobsPage,
    JobState,
    JobView,
    Place,
    Search,
    TooFar,
    TurnPage,
)
from magicqueue_cores.pending import Answer, map_answer
from magicqueue_cores.policies import Policies
from magicqueue_cores.policies.bulk import STATES
from magicqueue_cores.policies.ground import at_once
from magicqueue_server.long_commands import LongCommands
from magicqueue_server.looks import Handler, Looks, state_of
from magicqueue_server.turns import STEP_JOBS

_STATES: Final[dict[State, JobState]] = {
    "ready": JobState.READY,
    "delayed": JobState.DELAYED,
    "active": JobState.ACTIVE,
    "blocked": JobState.HELD,
    "dead": JobState.DEAD,
}
"""What a request calls the states of jobs."""
_READY: Final = frozenset((JobState.READY, JobState.HELD))
"""Jobs that wait for their group's turn are held."""
_STEP_BYTES: Final = 2 * 2**20
_STEPS_MAX: Final = 20
"""A step may find little where hardly any ids are in use."""
_BY_ID: Final = re.compile(r"i([0-9]{1,16})\Z")
_BY_NUMBER: Final = re.compile(r"n([0-9]{1,5})\Z")
_BY_PLACE: Final = re.compile(r"t(-?[0-9]{1,16})\.([0-9]{1,16})\Z")


class _Scan:
    """What is left to look at for one request, and from where."""

    def __init__(self, after_id: int, count: int) -> None:
        self.after_id: int | None = after_id
        self.count = count
        self.jobs = SCANNED_JOBS_MAX
        self.bytes = SCANNED_BYTES_MAX
        self.steps = _STEPS_MAX

    @property
    def over(self) -> bool:
        """Whether the request is to be answered."""
        left = min(self.count, self.jobs, self.bytes, self.steps)
        return left <= 0 or self.after_id is None

    @property
    def scanned(self) -> int:
        """Jobs that were looked at."""
        return SCANNED_JOBS_MAX - self.jobs

    @property
    def next(self) -> str | None:
        """The cursor to go on with."""
        return None if self.after_id is None else f"i{self.after_id}"

    def step(self, core: Core, search: Search, now_ms: int) -> Answer[JobsPage]:
        """Look at some more."""
        assert self.after_id is not None, "there is more"
        limits = min(self.jobs, STEP_JOBS), min(self.bytes, _STEP_BYTES)
        return core.browse(search, self.after_id, self.count, *limits, now_ms)

    def passed(self, page: JobsPage) -> None:
        """Note what was looked at."""
        self.after_id = page.next_id
        self.jobs -= page.scanned
        self.bytes -= page.scanned_bytes
        self.steps -= 1


class Browsing:
    """The handlers, over a core and the policies above it."""

    def __init__(
        self, core: Core, policies: Policies, looks: Looks, long: LongCommands
    ) -> None:
        self._core = core
        self._policies = policies
        self._looks = looks
        self._long = long
        self.handlers: dict[type[Request], Handler] = {Jobs: self.jobs, Bulk: self.bulk}

    def jobs(self, request: Jobs, now_ms: int) -> Answer[bytes]:
        """JOBS."""
        if request.order == "turn":
            return self._in_turn(request, now_ms)
        search = self._search("JOBS", request)
        scan = _Scan(_after_id("JOBS", request.after), _count(request))
        told: list[dict[str, Any]] = []

        def add(page: JobsPage) -> bytes | None:
            scan.passed(page)
            jobs = self._fitting(page.jobs, request.state)
            scan.count -= len(jobs)
            told.extend(self._told(job, request) for job in jobs)
            if not scan.over:
                return None
            rid, scanned = request.rid, scan.scanned
            return replies.counted(rid, jobs=told, next=scan.next, scanned=scanned)

        def go(at_ms: int) -> Answer[bytes | None]:
            return map_answer(scan.step(self._core, search, at_ms), add)

        return self._long.run(go, now_ms)

    def _in_turn(self, request: Jobs, now_ms: int) -> Answer[bytes]:
        if request.queue is None:
            raise BadRequest("JOBS: an order is that of a queue: give queue, or order id")
        if request.contains is not None:
            raise BadRequest("JOBS: contains is of order id: leave it out, or the order")

        def reply(page: TurnPage) -> bytes:
            place = page.next_place
            following = None if place is None else f"t{place[0]}.{place[1]}"
            told = [self._told(job, request) for job in page.jobs]
            rid, scanned = request.rid, len(told)
            return replies.counted(rid, jobs=told, next=following, scanned=scanned)

        queue = self._looks.queue(request.queue)
        if request.state in {None, "ready"} and self._policies.groups.has(queue):
            return self._by_turns(queue, request, now_ms)
        try:
            answer = self._core.in_turn(
                queue,
                _STATES[request.state or "ready"],
                _after_place(request.after),
                _count(request),
                SCANNED_BYTES_MAX,
                now_ms,
            )
        except TooFar as error:
            raise BadRequest(f"JOBS: {error}") from None
        return map_answer(answer, reply)

    def _by_turns(self, queue: str, request: Jobs, now_ms: int) -> Answer[bytes]:
        """List ready jobs of a queue with groups: behind so many, as things are now."""
        skipped, count = _skipped(request.after), _count(request)
        groups = self._policies.groups
        most = min(skipped + count + 1, TURN_JOBS_MAX)
        ids = groups.in_turn(queue, most, now_ms)[skipped:]
        told: list[dict[str, Any]] = []
        left = SCANNED_BYTES_MAX
        for job_id in ids[:count]:
            view = at_once(self._core.job(job_id, now_ms))
            assert view is not None, "a job whose turn comes is here"
            left -= len(view.payload)
            if told and left < 0:
                break
            told.append(self._told(view, request))
        following = f"n{skipped + len(told)}" if len(told) < len(ids) else None
        rid, scanned = request.rid, len(told)
        return replies.counted(rid, jobs=told, next=following, scanned=scanned)

    def bulk(self, request: Bulk, now_ms: int) -> Answer[bytes]:
        """BULK."""
        search, deed = self._search("BULK", request), request.do
        fitting = STATES[deed]
        if request.state is not None and not search.states <= fitting:
            can = " or ".join(name for name, state in _STATES.items() if state in fitting)
            raise BadRequest(
                f"BULK: state is {request.state}, and {deed} is for jobs that are {can}"
            )
        search = msgspec.structs.replace(search, states=search.states & fitting)
        scan = _Scan(_after_id("BULK", request.after), BULK_JOBS_MAX)
        done = 0

        def go(at_ms: int) -> Answer[bytes | None]:
            return map_answer(
                scan.step(self._core, search, at_ms), lambda page: do(page, at_ms)
            )

        def do(page: JobsPage, at_ms: int) -> bytes | None:
            nonlocal done
            ids = [job.id for job in self._fitting(page.jobs, request.state)]
            scan.passed(page)
            scan.count -= len(ids)
            if request.dry:
                done += len(ids)
            else:
                done += self._policies.bulk.do(deed, request.queue, ids, at_ms)
            if not scan.over:
                return None
            rid, scanned = request.rid, scan.scanned
            return replies.counted(rid, done=done, scanned=scanned, next=scan.next)

        return self._long.run(go, now_ms)

    def _search(self, name: str, request: Jobs | Bulk) -> Search:
        contains = (request.contains or "").encode(errors="surrogatepass")
        if len(contains) > CONTAINS_BYTES_MAX:
            raise BadRequest(
                f"{name}: contains is {len(contains)} bytes: the limit is"
                f" {CONTAINS_BYTES_MAX}"
            )
        queue = None if request.queue is None else self._looks.queue(request.queue)
        states = frozenset(JobState)
        if request.state is not None:
            state = _STATES[request.state]
            states = _READY if state is JobState.READY else frozenset((state,))
        return Search(queue=queue, states=states, contains=contains)

    def _fitting(self, jobs: Sequence[JobView], state: str | None) -> Sequence[JobView]:
        """Leave out held jobs that wait for no turn, where it was asked for a state."""
        if state is None:
            return jobs
        return [job for job in jobs if state_of(job, self._policies) == state]

    def _told(self, view: JobView, request: Jobs) -> dict[str, Any]:
        """Tell of a job as GETJOB does, but without data that is long."""
        job = self._looks.detail(view)
        most = JOBS_DATA_MAX if request.data_max is None else request.data_max
        if len(view.payload) > most:
            job["data"] = Raw(b"null")
            job["data_bytes"] = len(view.payload)
        return job


def _count(request: Jobs) -> int:
    return min(request.count or JOBS_PAGE, JOBS_PAGE_MAX)


def _after_id(name: str, after: str | None) -> int:
    if after is None:
        return 0
    found = _BY_ID.match(after)
    if found is None:
        raise _bad_cursor(name)
    return int(found[1])


def _after_place(after: str | None) -> Place | None:
    if after is None:
        return None
    found = _BY_PLACE.match(after)
    if found is None:
        raise _bad_cursor("JOBS")
    return int(found[1]), int(found[2])


def _skipped(after: str | None) -> int:
    if after is None:
        return 0
    found = _BY_NUMBER.match(after)
    if found is None:
        raise _bad_cursor("JOBS")
    return int(found[1])


def _bad_cursor(name: str) -> BadRequest:
    return BadRequest(f"{name}: after is not what next was in a reply: begin without it")
