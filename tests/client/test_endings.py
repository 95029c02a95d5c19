"""Waiting for jobs to end, results, cancel, promote and progress, as producers see them."""

import asyncio
import contextlib
import copy
import json
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.fake_server import TELLS, FakeServer, Reply, Request, polite
from magicqueue import (
    BadRequest,
    Cancelling,
    Closed,
    Ending,
    MagicQueueError,
    NoResult,
    NotDone,
    NotFound,
    ProtocolError,
    Queue,
    SyncQueue,
    Unsupported,
)
from magicqueue.answers import result_of
from magicqueue.job_commands import wait
from patience import PATIENCE_S

ABLE = {**TELLS, "capabilities": ["results", "progress", "cancel"]}
DONE = {"id": 1, "state": "done", "result": {"n": 3}, "finished_at": 2000, "attempts": 2}
DEAD = {"id": 2, "state": "dead", "error": "no\nmore", "reason": "failed"}


@pytest.fixture
def able(fake: FakeServer) -> FakeServer:
    fake.hello = lambda _: ABLE
    return fake


def ending(**fields: Any) -> list[Any]:
    return [{"id": 1, "state": "done", **fields}]


@pytest.mark.parametrize("client", CLIENTS)
def test_wait_gives_those_that_have_ended(client: str, able: FakeServer) -> None:
    able.answer = lambda _: {
        "ok": True,
        "jobs": [DONE, DEAD, {"id": 9, "state": "unknown"}],
    }
    with opened(client, "q", able.url) as queue:
        for timeout in (None, 0, 5):
            done, dead, unknown = queue.wait([1, 2, 9, 4], timeout=timeout)
            assert (done.id, done.state, done.result) == (1, "done", {"n": 3})
            assert (done.attempts, done.finished_at.timestamp()) == (2, 2)
            assert done.raw_result == b'{"n": 3}'
            assert (dead.state, dead.error, dead.reason) == ("dead", "no\nmore", "failed")
            assert (unknown.state, unknown.result) == ("unknown", None)
    requests = able.of("WAIT")
    assert all(request["ids"] == [1, 2, 9, 4] for request in requests)
    assert requests[1]["timeout"] == 0


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wait_goes_on_until_its_time_is_over(client: str, able: FakeServer) -> None:
    def answer(_: Request) -> Reply:
        ended_early = len(able.of("WAIT")) < 5
        return {"ok": True, "jobs": [] if ended_early else ending(result=7)}

    able.answer = answer
    with opened(client, "q", able.url) as queue:
        assert queue.result(1) == 7
        able.answer = lambda request: (
            None if request["timeout"] else {"ok": True, "jobs": []}
        )
        assert queue.wait(1, timeout=0) == []
        with pytest.raises(NotDone, match="job 1 has not ended in time"):
            queue.result(1, timeout=0)
    assert len(able.of("WAIT")) == 7


def test_a_wait_in_a_loop_ends_in_time_by_itself(able: FakeServer) -> None:
    able.answer = lambda _: None

    async def main() -> None:
        async with Queue("q", able.url) as queue:
            with pytest.raises(TimeoutError):
                await queue.result(1, timeout=0.01)
            assert await queue.wait([1], timeout=0.01) == []

    asyncio.run(main())


@pytest.mark.parametrize("client", CLIENTS)
def test_a_job_that_is_not_done_gives_no_result(client: str, able: FakeServer) -> None:
    jobs: list[Any] = []
    able.answer = lambda _: {"ok": True, "jobs": jobs}
    with opened(client, "q", able.url) as queue:
        for state, error in (("dead", "no\nmore"), ("cancelled", None), ("expired", None)):
            jobs[:] = ending(state=state, error=error)
            with pytest.raises(
                NoResult, match=f"job 1 gave no result, it is {state}"
            ) as no:
                queue.result(1)
            assert no.value.ending.state == state
            assert "more" not in str(no.value)
        jobs[:] = ending(state="unknown")
        with pytest.raises(NotFound, match="keep_result"):
            queue.result(1)
        jobs[:] = ending()
        assert queue.result(1) is None


def test_what_is_raised_can_be_copied() -> None:
    with pytest.raises(NoResult) as caught:
        result_of(1, [Ending(id=1, state="dead", error="x")])
    for same in (copy.copy(caught.value), pickle.loads(pickle.dumps(caught.value))):
        assert (str(same), same.ending.error) == (str(caught.value), "x")


@pytest.mark.parametrize("client", CLIENTS)
def test_long_integers_come_back_exact(client: str, able: FakeServer) -> None:
    long = 18446744073709551616
    deep: Any = long
    for _ in range(512):
        deep = [deep]
    able.answer = lambda _: {"ok": True, "jobs": ending(result={"n": long, "deep": deep})}

    def at_depth(frames: int, ask: Any) -> Any:
        return ask() if not frames else at_depth(frames - 1, ask)

    with opened(client, "q", able.url) as queue:
        (end,) = queue.wait(1)
        for frames in (0, 500):
            result = at_depth(frames, lambda: end.result)
            assert result == {"n": long, "deep": deep}
            assert type(result["n"]) is int


@pytest.mark.parametrize("client", CLIENTS)
def test_cancel_and_promote_say_what_became_of_each(client: str, able: FakeServer) -> None:
    able.answer = lambda r: {
        "CANCEL": {"ok": True, "cancelled": [1], "cancelling": [2], "missing": [3]},
        "PROMOTE": {"ok": True, "promoted": 2, "missing": [3]},
    }[r["cmd"]]
    with opened(client, "q", able.url) as queue:
        assert queue.cancel([1, 2, 3, 2]) == Cancelling([1], [2], [3])
        assert queue.promote([1, 2, 3]) == [3]
        able.answer = lambda _: {"ok": True, "promoted": 1, "missing": []}
        assert queue.promote(1) == []
        for ask in (queue.cancel, queue.promote, queue.wait):
            with pytest.raises(ValueError, match=r"takes 1( or more| to 1000) jobs, not 0"):
                ask([])
            with pytest.raises(TypeError, match="a job or its id, not str"):
                ask(["1"])
        with pytest.raises(ValueError, match="takes 1 to 1000 jobs, not 1001"):
            queue.wait(range(1, 1002))
    assert able.of("CANCEL")[0]["ids"] == [1, 2, 3]
    assert [request["ids"] for request in able.of("PROMOTE")] == [[1, 2, 3], [1]]


class Word(str):
    """Some library's string: one by its type, and yet no plain one."""

    __slots__ = ()


@pytest.mark.parametrize("client", CLIENTS)
def test_progress_of_a_pulled_job_names_its_attempt(client: str, able: FakeServer) -> None:
    job = {"queue": "q", "data": 1, "priority": 0, "created_at": 1, "run_at": 1}
    able.answer = lambda r: (
        {"ok": True, "jobs": [{"id": 5, **job, "attempts": 2}]}
        if r["cmd"] == "PULLB"
        else {"ok": True}
    )
    with opened(client, "q", able.url) as queue:
        pulled = queue.pull()
        queue.progress(pulled, 40, "half")
        queue.progress(6, note=Word("só"))
        for bad, message in (
            ((101,), "percent is 101"),
            ((None, "é" * 513), "1026 bytes"),
            ((None, "\ud800"), "note has a lone surrogate"),
        ):
            with pytest.raises(ValueError, match=message):
                queue.progress(pulled, *bad)
        with pytest.raises(TypeError, match="percent must be an integer, not float"):
            queue.progress(pulled, 0.5)
        with pytest.raises(MagicQueueError, match=r"use queue\.progress\(job"):
            pulled.progress(4)
    first, second = able.of("PROGRESS")
    rid = first.pop("rid"), second.pop("rid")
    assert rid[0] != rid[1]
    assert first == {
        "cmd": "PROGRESS",
        "id": 5,
        "attempt": 2,
        "percent": 40,
        "note": "half",
    }
    assert second == {"cmd": "PROGRESS", "id": 6, "note": "só"}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_older_server_is_asked_nothing_of_it(client: str, fake: FakeServer) -> None:
    with opened(client, "q", fake.url) as queue:
        asks: tuple[Callable[[], Any], ...] = (
            lambda: queue.wait([1]),
            lambda: queue.result(1, timeout=0),
            lambda: queue.cancel(1),
            lambda: queue.promote(1),
            lambda: queue.progress(1, 5),
        )
        for ask in asks:
            with pytest.raises(Unsupported):
                ask()
    assert not fake.requests


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("wait", {"jobs": [{"id": 3, "state": "done"}]}),
        ("wait", {"jobs": [{"id": 1, "state": "done"}] * 2}),
        ("wait", {"jobs": [{"id": 1, "state": "active"}]}),
        ("wait", {"jobs": [{"id": 1}]}),
        ("wait", {}),
        ("cancel", {"cancelled": [1], "cancelling": [], "missing": []}),
        ("cancel", {"cancelled": [1], "cancelling": [1], "missing": [2]}),
        ("cancel", {"cancelled": [1, 2], "missing": []}),
        ("promote", {"promoted": 1, "missing": []}),
        ("promote", {"promoted": 1, "missing": [3]}),
    ],
)
def test_a_lie_ends_the_connection(
    client: str, method: str, reply: dict[str, Any], able: FakeServer
) -> None:
    able.answer = lambda _: {"ok": True, **reply}
    with opened(client, "q", able.url) as queue, pytest.raises(ProtocolError):
        getattr(queue, method)([1, 2])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_job_tells_all_that_it_asked_for(client: str, able: FakeServer) -> None:
    live = {
        "id": 1,
        "queue": "q",
        "data": 5,
        "priority": 0,
        "created_at": 1,
        "run_at": 1,
        "attempts": 1,
        "state": "active",
        "failures": 0,
        "lost": 0,
        "max_attempts": 25,
        "error": None,
        "lease_until": 9,
        "unique_key": "k",
        "expires_at": 3000,
        "timeout": 4,
        "attempt_until": 8,
        "keep_result": 5,
        "cancelled": True,
        "progress": {"percent": 40, "note": "half"},
    }
    jobs = [live, {"queue": "q", **DONE}, {"queue": "q", "id": 1, "state": "done"}]
    able.answer = lambda _: {"ok": True, "job": jobs.pop(0)}
    with opened(client, "q", able.url) as queue:
        job = queue.job(1)
        assert (job.unique_key, job.timeout_ms, job.keep_result_ms) == ("k", 4, 5)
        assert (job.expires_at.timestamp(), job.attempt_until_ms) == (3, 8)
        assert (job.cancelled, job.progress.percent, job.progress.note) == (
            True,
            40,
            "half",
        )
        assert (job.result, job.finished_at) == (None, None)
        end = queue.job(1)
        assert (end.state, end.result, end.attempts) == ("done", {"n": 3}, 2)
        assert (end.finished_at.timestamp(), end.data) == (2, None)
        with pytest.raises(ProtocolError):
            queue.job(1)


class Table:
    """A server that answers WAITs as the protocol says: the last line is the one."""

    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake
        self.ended: dict[int, Any] = {}
        self.bad: set[int] = set()
        self._lock = threading.Lock()
        self._parked: dict[Any, Request] = {}
        fake.hello = lambda _: ABLE
        fake.behave = self._behave

    def _behave(self, connection: Any, request: Request) -> None:
        with self._lock:
            parked = self._parked.pop(connection, None)
            if parked is not None:
                self._send(connection, parked, {"ok": True, "jobs": []})
            if request["cmd"] != "WAIT":
                self._send(connection, request, polite(request) or {})
            elif self.bad.intersection(request["ids"]):
                refusal = {"ok": False, "error": "keeps none", "code": "BAD_REQUEST"}
                self._send(connection, request, refusal)
            else:
                self._answer(connection, request)

    def _answer(self, connection: Any, request: Request) -> None:
        jobs = [self.ended[one] for one in request["ids"] if one in self.ended]
        if jobs or not request["timeout"]:
            self._send(connection, request, {"ok": True, "jobs": jobs})
        else:
            self._parked[connection] = request

    def _send(self, connection: Any, request: Request, reply: dict[str, Any]) -> None:
        line = {**reply, "rid": request["rid"]} if "rid" in request else reply
        with contextlib.suppress(OSError):  # it may be gone
            connection.sendall(json.dumps(line).encode() + b"\n")

    def end(self, *ids: int) -> None:
        with self._lock:
            for one in ids:
                self.ended[one] = {"id": one, "state": "done", "result": one}
            for connection, request in list(self._parked.items()):
                if set(ids) & set(request["ids"]):
                    del self._parked[connection]
                    self._answer(connection, request)


async def asked(fake: FakeServer, ids: set[int]) -> None:
    def named() -> bool:
        waits = [r for r in fake.requests if r["cmd"] == "WAIT"]
        return any(ids <= set(r["ids"]) for r in waits)

    await asyncio.to_thread(fake.wait_until, named)


def test_many_tasks_wait_over_one_connection(fake: FakeServer) -> None:
    table = Table(fake)

    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            results = [asyncio.create_task(queue.result(n)) for n in range(1, 101)]
            await asked(fake, set(range(1, 101)))
            both = asyncio.create_task(queue.wait([200, 3]))
            late = asyncio.create_task(queue.result(201, timeout=PATIENCE_S))
            short = asyncio.create_task(queue.wait([202], timeout=0.01))
            await asked(fake, {200, 201, 202, 3})
            table.end(*range(1, 51))
            assert await asyncio.gather(*results[:50]) == list(range(1, 51))
            assert [end.id for end in await both] == [3]
            results[60].cancel()
            table.end(*range(51, 101), 201)
            outcomes = await asyncio.gather(*results[50:], return_exceptions=True)
            assert isinstance(outcomes[10], asyncio.CancelledError)
            assert outcomes[11] == 62
            assert (await late, await short) == (201, [])
            assert await queue.push(1) == 1

    asyncio.run(main())
    assert fake.accepted == 2, "one to wait, one for the rest"
    assert len(fake.of("WAIT")) < 12


def test_one_tasks_fault_is_not_anothers(fake: FakeServer) -> None:
    table = Table(fake)
    table.bad = {7}

    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            good = asyncio.create_task(queue.result(1))
            await asked(fake, {1})
            bad = asyncio.create_task(queue.result(7))
            with pytest.raises(BadRequest, match="keeps none"):
                await bad
            table.end(1)
            assert await good == 1

    asyncio.run(main())


def test_a_broken_connection_is_waited_over(fake: FakeServer) -> None:
    table = Table(fake)

    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            result = asyncio.create_task(queue.result(1))
            await asked(fake, {1})
            fake.cut()
            await asyncio.to_thread(fake.wait_for, "WAIT", 2)
            table.end(1)
            assert await result == 1

    asyncio.run(main())


def test_more_than_one_request_can_name_take_another(fake: FakeServer) -> None:
    table = Table(fake)

    async def main() -> None:
        async with Queue("q", fake.url) as queue:
            many = [asyncio.create_task(queue.result(n)) for n in range(1, 1502)]
            await asked(fake, set(range(1001, 1502)))
            table.end(*range(1, 1502))
            assert sum(await asyncio.gather(*many)) == sum(range(1, 1502))

    asyncio.run(main())
    assert fake.accepted == 2
    assert all(len(request["ids"]) <= 1000 for request in fake.of("WAIT"))


def test_closing_ends_those_who_wait(fake: FakeServer) -> None:
    Table(fake)

    async def main() -> None:
        queue = Queue("q", fake.url)
        result = asyncio.create_task(queue.result(1))
        await asked(fake, {1})
        await queue.close()
        with pytest.raises(MagicQueueError):
            await result
        with pytest.raises(Closed):
            await queue.result(1)

    asyncio.run(main())


def test_threads_wait_over_connections_of_their_own(fake: FakeServer) -> None:
    table = Table(fake)
    got: list[Any] = []
    with SyncQueue("q", fake.url) as queue:
        threads = [
            threading.Thread(target=lambda n=n: got.append(queue.result(n))) for n in (1, 2)
        ]
        for thread in threads:
            thread.start()
        fake.wait_for("WAIT", 2)
        queue.push(1)
        table.end(1, 2)
        for thread in threads:
            thread.join(PATIENCE_S)
    assert sorted(got) == [1, 2]


def test_a_wait_may_take_as_long_as_it_is_told() -> None:
    assert wait([1], 5000).patience_s == 5
    assert wait([1], 5000).repeat
