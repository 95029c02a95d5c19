"""What the log tells of jobs: deaths and refusals, bounded; with debug, every command."""

import json
from typing import Any

import pytest

from conformance.driver import CORES
from server.process import BlockingPeer, ServerProcess

EACH_CORE = pytest.mark.parametrize("core", CORES)
MORE_THAN_TOLD = 25


def _kill_jobs(peer: BlockingPeer, count: int) -> None:
    jobs = b",".join([b'{"data":1,"max_attempts":1}'] * count)
    peer.ask(b'{"cmd":"PUSHB","queue":"mail","jobs":[%b]}' % jobs)
    peer.ask(b'{"cmd":"PULLB","queue":"mail","count":%d}' % count)
    verdicts = b",".join(
        b'{"id":%d,"error":"KeyError: %d\\n  at line 7"}' % (n, n)
        for n in range(1, count + 1)
    )
    assert b'"failed":%d' % count in peer.ask(b'{"cmd":"FAILB","jobs":[%b]}' % verdicts)


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@EACH_CORE
def test_deaths_are_told_a_few_at_once_and_the_rest_as_a_count(core: str) -> None:
    with ServerProcess("--core", core, "--log-format", "json") as server:
        with server.connect() as peer:
            _kill_jobs(peer, MORE_THAN_TOLD)
        code, err = server.stop()
    assert code == 0
    told = [event for event in _events(err) if event["event"] == "a job is dead"]
    assert [event["job"] for event in told] == list(range(1, 11))
    assert told[0] | {"time": "", "pid": 0} == {
        "time": "",
        "pid": 0,
        "level": "warning",
        "logger": "magicqueue",
        "event": "a job is dead",
        "job": 1,
        "queue": "mail",
        "reason": "failed",
        "attempts": 1,
        "failures": 1,
        "lost": 0,
        "error": "KeyError: 1",
    }
    (rest,) = [event for event in _events(err) if event["event"] == "more jobs died"]
    assert rest["more"] == MORE_THAN_TOLD - len(told)


@EACH_CORE
def test_a_job_lost_too_often_is_told_and_a_restart_tells_nothing_anew(
    core: str, tmp_path: Any
) -> None:
    options = ("--core", core, "--persist", "--data-dir", str(tmp_path / "data"))
    with ServerProcess(*options, "--max-lost", "1") as server:
        with server.connect() as peer:
            peer.ask(b'{"cmd":"PUSH","queue":"q","data":1}')
        for _ in range(2):
            with server.connect() as peer:
                assert b'"id":1' in peer.ask(b'{"cmd":"PULL","queue":"q","timeout":30000}')
        with server.connect() as peer:
            while b'"dead":1' not in peer.ask(b'{"cmd":"STATS"}'):
                pass
        _, err = server.stop()
    assert "a job is dead job=1 queue=q reason=worker_lost attempts=2" in err
    with ServerProcess(*options) as server:
        _, err = server.stop()
    assert "a job is dead" not in err


@EACH_CORE
def test_refusals_of_a_full_server_are_one_line_and_a_count(core: str) -> None:
    push = b'{"cmd":"PUSH","queue":"q","data":1}'
    options = ("--core", core, "--max-jobs", "1", "--log-format", "json")
    with ServerProcess(*options) as server:
        with server.connect() as peer:
            peer.send(*[push] * 50)
            replies = [peer.line() for _ in range(50)]
        _, err = server.stop()
    assert sum(b"FULL" in reply for reply in replies) == 49
    (told,) = [event for event in _events(err) if event["event"] == "refused with FULL"]
    assert told["session"] == 1
    assert "raise the maximum" in told["why"]
    (rest,) = [event for event in _events(err) if "more was refused" in event["event"]]
    assert rest["more"] == 48


@EACH_CORE
def test_debug_shows_each_command_with_its_connection_and_ids(core: str) -> None:
    options = ("--core", core, "--log-level", "debug", "--log-format", "json")
    with ServerProcess(*options) as server:
        with server.connect() as waiter, server.connect() as peer:
            waiter.send(b'{"cmd":"PULL","queue":"q","timeout":60000}')
            while b'"waiting":1,' not in peer.ask(b'{"cmd":"STATS"}'):
                pass
            peer.ask(b'{"cmd":"PUSH","queue":"q","data":1}')
            assert b'"id":1' in waiter.line()
            peer.send(
                b'{"cmd":"ACK","id":9}', b"", b'{"cmd":"PUSH"} \r x', b'{"cmd":"PING"}'
            )
            assert [b'"ok":true' in peer.line() for _ in range(3)] == [False, False, True]
            peer.ask(b'{"cmd":"PUSHB","queue":"r","jobs":[{"data":1},{"data":2}]}')
            peer.ask(b'{"cmd":"PULLB","queue":"r","count":2}')
        _, err = server.stop()
    events = _events(err)
    names = [event["event"] for event in events]
    assert names.count("connected") == names.count("connection over") == 2
    told = [
        {key: value for key, value in event.items() if key not in {"ms", "why"}}
        for event in events
        if event["logger"] == "magicqueue.trace" and event.get("cmd") != "STATS"
    ]
    assert all(event["level"] == "debug" for event in told)
    shown = [{key: event[key] for key in list(event)[4:]} for event in told]
    waiter_id = shown[0]["session"]
    (peer_id,) = {1, 2} - {waiter_id}
    pull = {"session": waiter_id, "cmd": "PULL", "queue": "q", "timeout": 60000}
    assert shown[0] == {"event": "waits", **pull}
    assert sorted(shown[1:3], key=lambda one: one["cmd"]) == [
        {"event": "request", **pull, "got": 1, "attempt": 1},
        {
            "event": "request",
            "session": peer_id,
            "cmd": "PUSH",
            "queue": "q",
            "stored_id": 1,
        },
    ]
    ack, junk, ping, pushed, pulled = (
        {key: value for key, value in event.items() if key not in {"event", "session"}}
        for event in shown[3:]
    )
    assert ack == {"cmd": "ACK", "id": 9, "code": "NOT_FOUND"}
    assert junk == {"junk": '{"cmd":"PUSH"} \r x', "bytes": 18, "code": "BAD_JSON"}
    assert ping == {"cmd": "PING"}
    assert pushed == {"cmd": "PUSHB", "queue": "r", "jobs": 2, "first_id": 2, "stored": 2}
    assert pulled == {"cmd": "PULLB", "queue": "r", "count": 2, "got": [2, 3], "of": 2}


def test_everything_that_a_json_server_says_is_json() -> None:
    options = (
        "--log-format",
        "json",
        "--host",
        "0.0.0.0",
        "--insecure",
        "--core",
        "python",
    )
    with ServerProcess(*options, env={"MAGICQUEUE_MAX_JOBS": "9"}) as server:
        _, err = server.stop()
        said = [json.loads(line) for line in server.announced]
    assert [event["level"] for event in said] == ["info"] * 5
    assert said[0]["address"] == said[0]["event"].split(" listens on ")[1]
    assert said[1]["core"] == "python"
    assert said[3]["settings"] == ["max_jobs = 9 (environment MAGICQUEUE_MAX_JOBS)"]
    assert {event["pid"] for event in said + _events(err)} == {server.process.pid}
    assert any("there are no tokens" in event["event"] for event in _events(err))
