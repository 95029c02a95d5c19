"""What workers send, and how they take a server's misbehaviour."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from client.fake_server import FakeServer, Reply, Request, polite, some_jobs
from client.running import KINDS, running
from magicqueue import Job
from patience import PATIENCE_S


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def giving(*pulls: Reply) -> Callable[[Request], Reply]:
    """Answer each PULLB with the next of these, then with none.

    What is more than was asked for goes to the next PULLB.
    """
    left = list(pulls)

    def answer(request: Request) -> Reply:
        if request["cmd"] != "PULLB" or not left:
            return polite(request)
        reply = left.pop(0)
        if reply is not None and len(reply.get("jobs", ())) > request["count"]:
            jobs = reply["jobs"]
            left.insert(0, {**reply, "jobs": jobs[request["count"] :]})
            reply = {**reply, "jobs": jobs[: request["count"]]}
        return reply

    return answer


@pytest.mark.parametrize("quick", ["starving", "inline", "sync"])
def test_a_batch_is_settled_by_one_request(quick: str) -> None:
    with FakeServer(giving(some_jobs(40))) as fake:
        options = {} if quick == "starving" else {"prefetch": 39}
        with running(quick, "q", lambda _: None, url=fake.url, batch_size=40, **options):
            fake.wait_for("ACKB")
        (ack,) = fake.of("ACKB")
        assert ack["ids"] == [{"id": n, "attempt": 1} for n in range(1, 41)]
        pull = fake.of("PULLB")[0]
        assert (pull["queue"], pull["lease"]) == ("q", 30_000)
        assert 0 < pull["timeout"] <= 30_000


def test_only_what_may_run_is_asked_for(kind: str) -> None:
    gate = threading.Event()
    with FakeServer(giving(some_jobs(2))) as fake:
        options = {"concurrency": 5, "batch_size": 5}
        with running(kind, "q", lambda _: gate.wait(PATIENCE_S), url=fake.url, **options):
            fake.wait_for("PULLB")
            if "threads" in kind:
                assert fake.wait_for("PULLB", 2)[1]["count"] == 3
            gate.set()
            fake.wait_until(lambda: fake.requests[-1].get("count", 0) >= 1)
        at_once = 1 if kind in {"inline", "sync"} else 5
        assert fake.of("PULLB")[0]["count"] == at_once


def test_failures_go_out_with_attempt_and_message(kind: str) -> None:
    def handler(_: Job) -> None:
        raise KeyError("x")

    with FakeServer(giving(some_jobs(1, attempts=3))) as fake:
        with running(kind, "q", handler, url=fake.url):
            (request,) = fake.wait_for("FAILB")
        (failure,) = request["jobs"]
        message, _, trace = failure.pop("error").partition("\n\n")
        assert failure == {"id": 1, "attempt": 3}
        assert message == "KeyError: 'x'"
        assert trace.startswith("Traceback (most recent call last):")
        assert trace.endswith('raise KeyError("x")')


def test_a_lost_connection_marks_what_was_held_and_the_verdict_still_goes_out(
    kind: str,
) -> None:
    jobs: list[Job] = []
    started, gate = threading.Event(), threading.Event()

    def handler(job: Job) -> None:
        jobs.append(job)
        started.set()
        assert gate.wait(PATIENCE_S)

    threaded = "threads" in kind
    with (
        FakeServer(giving(some_jobs(1, attempts=2))) as fake,
        running(kind, "q", handler, url=fake.url, batch_size=1) as run,
    ):
        assert started.wait(PATIENCE_S)
        if threaded:
            fake.wait_for("PULLB", 2)
        fake.cut()
        if threaded:
            fake.wait_for("PULLB", 3)
            assert jobs[0].lost
        gate.set()
        (request,) = fake.wait_for("ACKB")
        assert request["ids"] == [{"id": 1, "attempt": 2}]
        run.stop()


def test_a_verdict_too_late_is_counted(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    pulls = giving(some_jobs(2))

    def answer(request: Request) -> Reply:
        if request["cmd"] == "ACKB":
            ids = [item["id"] for item in request["ids"]]
            missing = [n for n in ids if n == 2]
            return {"ok": True, "acked": len(ids) - len(missing), "missing": missing}
        return pulls(request)

    with FakeServer(answer) as fake:
        with running(kind, "q", lambda _: None, url=fake.url) as run:
            fake.wait_until(
                lambda: sum(len(r["ids"]) for r in fake.requests if r["cmd"] == "ACKB") == 2
            )
            run.stop()
        assert run.worker.lost == 1
    assert "job 2 of q (attempt 1) was not ours any more" in caplog.text


def test_a_lease_that_is_over_is_told_to_the_handler(kind: str) -> None:
    lost: list[bool] = []
    told = threading.Event()

    def handler(job: Job) -> None:
        end = threading.Event()
        for _ in range(int(PATIENCE_S * 100)):
            if job.lost:
                break
            end.wait(0.01)
        lost.append(job.lost)
        told.set()

    pulls = giving(some_jobs(1))

    def answer(request: Request) -> Reply:
        if request["cmd"] == "HEARTBEAT":
            return {"ok": True, "extended": 0, "missing": [1]}
        return pulls(request)

    with FakeServer(answer) as fake, running(kind, "q", handler, url=fake.url, lease=0.2):
        assert told.wait(PATIENCE_S)
        if kind != "tasks":  # a task is cancelled, and has no verdict
            fake.wait_for("ACKB")
    assert lost == [True]
    (beat, *_) = fake.of("HEARTBEAT")
    assert beat["ids"] == [{"id": 1, "attempt": 1}]
    assert beat["lease"] == 200


def test_a_handler_can_ask_for_a_heartbeat(kind: str) -> None:
    with FakeServer(giving(some_jobs(1))) as fake:

        def handler(job: Job) -> None:
            job.heartbeat()
            fake.wait_for("HEARTBEAT")

        with running(kind, "q", handler, url=fake.url):
            fake.wait_for("ACKB")
        assert fake.of("HEARTBEAT")[0]["lease"] == 30_000


def test_short_jobs_need_no_heartbeat_connection(kind: str) -> None:
    with FakeServer(giving(some_jobs(3), some_jobs(3, first=4))) as fake:
        with running(kind, "q", lambda _: None, url=fake.url):
            fake.wait_until(
                lambda: sum(len(r["ids"]) for r in fake.requests if r["cmd"] == "ACKB") == 6
            )
        assert fake.accepted == 2


def test_a_server_that_shuts_down_is_asked_again(kind: str) -> None:
    refusal = {"ok": False, "error": "stopping", "code": "SHUTTING_DOWN"}
    with FakeServer(giving(refusal, refusal, some_jobs(1))) as fake:
        with running(kind, "q", lambda _: None, url=fake.url):
            fake.wait_for("ACKB")
        assert len(fake.of("PULLB")) >= 3


def test_an_unanswered_verdict_is_sent_again(kind: str) -> None:
    pulls = giving(some_jobs(1))
    acks: list[Any] = []

    def answer(request: Request) -> Reply:
        if request["cmd"] == "ACKB":
            acks.append(request)
            if len(acks) == 1:
                fakes[0].cut()
                return None
        return pulls(request)

    fakes: list[FakeServer] = []
    with FakeServer(answer) as fake:
        fakes.append(fake)
        with running(kind, "q", lambda _: None, url=fake.url) as run:
            fake.wait_for("ACKB", 2)
            run.stop()
        assert acks[0] == acks[1]
        assert run.worker.completed == 1
