"""RELEASE, and what FAIL may say of the retry, to the byte: every core, every path."""

import msgspec
import pytest

from conformance.driver import require_core
from differential.twins import START_MS, Side
from magicqueue.wire.limits import ID_MAX, Limits
from server.desk import Caller, Desk, code_of, job, many

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULLB","queue":"q","count":9,"timeout":0}'


@pytest.fixture
def caller(desk: Desk) -> Caller:
    return desk.caller()


def test_released_jobs_come_again_in_their_old_order(caller: Caller) -> None:
    caller.ask(PUSH, PUSH, PUSH, PULL)
    line = b'{"cmd":"RELEASE","ids":[3,{"id":1,"attempt":1},"2",9,{"id":2,"attempt":7}]}'
    assert caller.ask(line) == [b'{"ok":true,"released":3,"missing":[9,2]}']
    every = many(*(job(job_id, attempts=2) for job_id in (1, 2, 3)))
    assert caller.ask(PULL) == [every]
    one = b'{"cmd":"release","id":"2","attempt":2,"rid":"r"}'
    assert caller.ask(one) == [b'{"ok":true,"released":1,"missing":[],"rid":"r"}']
    assert caller.ask(one) == [b'{"ok":true,"released":0,"missing":[2],"rid":"r"}']


def test_released_with_a_delay(desk: Desk, caller: Caller) -> None:
    caller.ask(PUSH, PULL, b'{"cmd":"RELEASE","ids":[1],"delay":50}')
    assert caller.ask(PULL) == [many()]
    desk.tick(50)
    later = job(1, attempts=2).replace(
        b'"run_at":%d' % (desk.now - 50), b'"run_at":%d' % desk.now
    )
    assert caller.ask(PULL) == [many(later)]


def test_who_waits_is_served_with_what_is_released(desk: Desk, caller: Caller) -> None:
    caller.ask(PUSH, PULL)
    waiter = desk.caller()
    assert waiter.ask(b'{"cmd":"PULLB","queue":"q","count":9}') == []
    caller.ask(b'{"cmd":"RELEASE","id":1}')
    assert waiter.heard() == [many(job(1, attempts=2))]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b'{"cmd":"RELEASE"}', "RELEASE: give ids (a list) or id (one job)"),
        (
            b'{"cmd":"RELEASE","ids":[],"id":1}',
            "RELEASE: give ids (a list) or id (one job)",
        ),
        (b'{"cmd":"RELEASE","id":1,"delay":-1}', "RELEASE: delay must be an integer >= 0"),
        (b'{"cmd":"FAIL","id":1,"retry":false,"delay":0}', "FAIL: give delay, or retry"),
        (
            b'{"cmd":"FAILB","jobs":[{"id":1},{"id":2,"delay":1,"retry":false}]}',
            "FAILB: jobs[1]: give delay, or retry false",
        ),
    ],
)
def test_a_contradiction_changes_nothing(
    caller: Caller, line: bytes, sentence: str
) -> None:
    caller.ask(PUSH, PUSH, PULL)
    (reply,) = caller.ask(line)
    assert code_of(reply) == "BAD_REQUEST"
    assert msgspec.json.decode(reply)["error"].startswith(sentence)
    assert b'"failures":0' in caller.ask(b'{"cmd":"GETJOB","id":1}')[0]


class Lines:
    """A core behind an engine, asked line by line, so that kernels run what they can."""

    def __init__(self, core_name: str) -> None:
        self.side = Side(require_core(core_name), Limits())
        self.side.open(START_MS)
        self.now_ms = START_MS

    def ask(self, *lines: bytes) -> list[bytes]:
        self.side.feed(0, b"".join(line + b"\n" for line in lines), self.now_ms)
        return self.side.replies()[0].splitlines()


def test_every_path_heeds_what_a_failure_asks(core_name: str) -> None:
    """As one item among others, before and after `id`, in a batch and alone."""
    lines = Lines(core_name)
    pushes = b",".join([b'{"data":1,"backoff":1000}'] * 6)
    lines.ask(b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}' % pushes, PULL)
    assert lines.ask(
        b'{"cmd":"FAIL","id":1}',
        b'{"cmd":"FAIL","id":2,"retry":false}',
        b'{"cmd":"FAIL","delay":0,"id":3}',
        b'{"cmd":"FAILB","jobs":[{"id":4},{"delay":7,"id":5},{"id":6,"retry":false}]}',
    ) == [
        b'{"ok":true,"state":"delayed"}',
        b'{"ok":true,"state":"dead"}',
        b'{"ok":true,"state":"ready"}',
        b'{"ok":true,"failed":3,"missing":[]}',
    ]
    found = [
        msgspec.json.decode(lines.ask(b'{"cmd":"GETJOB","id":%d}' % job_id)[0])["job"]
        for job_id in range(1, 7)
    ]
    waits = [one["run_at"] - START_MS for one in found if one["state"] == "delayed"]
    assert waits == [1000, 1000, 7]
    assert [one["state"] for one in found if one["state"] != "delayed"] == [
        "dead",
        "ready",
        "dead",
    ]


def test_null_and_true_are_as_nothing_said(core_name: str) -> None:
    lines = Lines(core_name)
    lines.ask(PUSH, PUSH, PULL)
    assert lines.ask(
        b'{"cmd":"FAIL","id":1,"retry":null,"delay":null}',
        b'{"cmd":"FAIL","id":2,"retry":true,"delay":3}',
    ) == [b'{"ok":true,"state":"ready"}', b'{"ok":true,"state":"delayed"}']


def test_the_longest_delay_ends_at_a_time_that_clients_can_read(core_name: str) -> None:
    lines = Lines(core_name)
    lines.ask(PUSH, PUSH, PULL)
    lines.ask(b'{"cmd":"RELEASE","id":1,"delay":%d}' % ID_MAX)
    lines.ask(b'{"cmd":"FAIL","id":2,"delay":%d}' % ID_MAX)
    for job_id in (1, 2):
        (reply,) = lines.ask(b'{"cmd":"GETJOB","id":%d}' % job_id)
        assert b'"run_at":%d' % ID_MAX in reply


def test_failures_of_released_jobs_are_counted_on_every_path(core_name: str) -> None:
    """Two hand-outs were no failures, so the third is the first of two that it may have."""
    lines = Lines(core_name)
    lines.ask(b'{"cmd":"PUSH","queue":"q","data":1,"max_attempts":2}')
    for _ in range(2):
        lines.ask(PULL, b'{"cmd":"RELEASE","id":1}')
    for state in (b"ready", b"dead"):
        _, reply = lines.ask(PULL, b'{"cmd":"FAIL","id":1}')
        assert reply == b'{"ok":true,"state":"%b"}' % state


def test_hello_names_both(caller: Caller) -> None:
    words = msgspec.json.decode(caller.ask(b'{"cmd":"HELLO"}')[0])["capabilities"]
    assert {"release", "fail_options"} <= set(words)
