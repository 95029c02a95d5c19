"""What handlers return goes with the ACK, where it is anything."""

import asyncio
import logging
from typing import Any

import pytest

from client.fake_server import TELLS, FakeServer, Reply, Request, some_jobs
from client.running import KINDS, make_worker, running
from client.test_worker_wire import giving
from magicqueue import Job
from magicqueue.results import Results
from magicqueue.testing import job as made_up_job

ABLE = {**TELLS, "capabilities": ["results"]}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def able(fake: FakeServer) -> FakeServer:
    fake.hello = lambda _: ABLE
    return fake


def acked(fake: FakeServer) -> list[Any]:
    return [item for r in fake.requests if r["cmd"] == "ACKB" for item in r["ids"]]


def settled(fake: FakeServer, count: int) -> dict[int, Any]:
    """Wait until so many jobs are acknowledged; gives what came of each."""
    fake.wait_until(lambda: len(acked(fake)) == count)
    return {item["id"]: item.get("result", "none") for item in acked(fake)}


def test_what_a_handler_returns_is_sent(kind: str, able: FakeServer) -> None:
    able.answer = giving(some_jobs(3))
    values = {1: {"n": 3}, 2: None, 3: [2**70]}
    with running(kind, "q", lambda job: values[job.id], url=able.url):
        assert settled(able, 3) == {1: {"n": 3}, 2: "none", 3: [2**70]}


def test_what_is_awaited_for_a_plain_handler_is_its_result(
    kind: str, able: FakeServer
) -> None:
    if kind == "tasks":
        pytest.skip("its handler is async itself")
    able.answer = giving(some_jobs(2))

    async def later(job: Job) -> int | None:
        await asyncio.sleep(0)
        return 7 if job.id == 1 else None

    def decorated(job: Job) -> Any:
        return later(job)

    with running(kind, "q", decorated, url=able.url):
        assert settled(able, 2) == {1: 7, 2: "none"}


def test_jobs_without_a_result_are_settled_as_ever(able: FakeServer) -> None:
    able.answer = giving(some_jobs(4))
    with running("sync", "q", lambda job: job.id if job.id == 2 else None, url=able.url):
        settled(able, 4)
    bare = [r for r in able.of("ACKB") if all("result" not in i for i in r["ids"])]
    assert sum(len(r["ids"]) for r in bare) == 3
    assert not any(
        0 < sum("result" in i for i in r["ids"]) < len(r["ids"]) for r in able.of("ACKB")
    )


def test_an_older_server_is_sent_none(kind: str, fake: FakeServer) -> None:
    fake.answer = giving(some_jobs(2))

    def handler(job: Job) -> int:
        return job.id

    with running(kind, "q", handler, url=fake.url) as run:
        assert settled(fake, 2) == {1: "none", 2: "none"}
    assert run.worker.completed == 2


class Unwritable:
    pass


def test_one_that_is_not_json_is_logged_and_the_job_done(
    kind: str, able: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    able.answer = giving(some_jobs(1))
    with (
        caplog.at_level(logging.WARNING, "magicqueue"),
        running(kind, "q", lambda _: Unwritable(), url=able.url) as run,
    ):
        assert settled(able, 1) == {1: "none"}
    assert "job 1 of q is done, but its result is not kept: its result (U" in caplog.text
    assert (run.worker.completed, run.worker.failed) == (1, 0)


def test_one_that_is_not_json_fails_the_job_if_asked_to(
    kind: str, able: FakeServer
) -> None:
    able.answer = giving(some_jobs(1))
    told: list[BaseException] = []
    options: dict[str, Any] = {
        "on_bad_result": "fail",
        "on_error": lambda _, error: told.append(error),
    }
    with running(kind, "q", lambda _: float("nan"), url=able.url, **options) as run:
        (request,) = able.wait_for("FAILB")
    (job,) = request["jobs"]
    assert "BadResult: its result" in job["error"]
    assert "JSON has no such number" in job["error"]
    assert [type(error).__name__ for error in told] == ["BadResult"]
    assert (run.worker.completed, run.worker.failed) == (0, 1)


@pytest.mark.parametrize("choice", ["log", "fail"])
def test_one_that_is_too_large_is_that_jobs_fault(
    kind: str, choice: Any, able: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    able.answer = giving(some_jobs(3))
    polite_answer = able.answer

    def answer(request: Request) -> Reply:
        if request["cmd"] == "ACKB" and any(i.get("result") == 2 for i in request["ids"]):
            return {"ok": False, "error": "result is too large", "code": "TOO_LARGE"}
        return polite_answer(request)

    able.answer = answer
    options: dict[str, Any] = {"on_bad_result": choice}
    with running(kind, "q", lambda job: job.id, url=able.url, **options) as run:
        if choice == "fail":
            (request,) = able.wait_for("FAILB")
            (job,) = request["jobs"]
            assert (job["id"], job["attempt"]) == (2, 1)
            assert "BadResult: result is too large" in job["error"]
        able.wait_until(lambda: {1, 3} <= {item["id"] for item in acked(able)})
        if choice == "log":
            able.wait_until(lambda: {"id": 2, "attempt": 1} in acked(able))
            assert "result is too large" in caplog.text
    failed = int(choice == "fail")
    assert (run.worker.completed, run.worker.failed) == (3 - failed, failed)


def test_the_option_is_one_of_two() -> None:
    wrong: dict[str, Any] = {"on_bad_result": "ignore"}
    for kind in ("threads", "sync"):
        with pytest.raises(ValueError, match="on_bad_result is 'ignore'"):
            make_worker(kind, "q", print, **wrong)


def test_results_go_in_batches_that_fit_a_line() -> None:
    results = Results()
    jobs = [made_up_job(n) for n in range(20)]
    for job in jobs:
        assert results.keep(job, "x" * 2**20) is None
    bare, batches = results.part([*jobs, made_up_job()])
    sizes = [sum(map(len, some)) for _, some in batches]
    assert len(bare) == 1
    assert len(sizes) == 3
    assert max(sizes) <= 8 * 2**20
    assert results.part(jobs)[0] is jobs
