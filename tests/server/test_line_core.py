"""What an engine does with a core that executes lines itself, here one of a few lines."""

import logging

import msgspec
import pytest

from conformance.driver import require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import Capabilities
from magicqueue_cores.python_core import PythonCore
from server.desk import Desk, code_of, job, one

STATS = b'{"cmd":"STATS"}'
PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
FAIL = b'{"cmd":"FAIL","id":1}'
BOOM = b'{"cmd":"PING","rid":"boom"}'


class FewLines(PythonCore):
    """It executes empty lines, FAIL of job 1, and a line that it breaks at."""

    capabilities = Capabilities(executes_lines=True)
    executed = 0
    declined = {"rare": 2, "error": 0}  # noqa: RUF012 - it is not changed

    def execute(
        self,
        lines: bytes,
        session: int,
        now_ms: int,
        start: int = 0,
        stop: int | None = None,
    ) -> tuple[int, bytes]:
        assert session
        consumed, replies = 0, b""
        for line in lines[start:stop].splitlines(keepends=True):
            if line.rstrip() == BOOM:
                raise ValueError("broken")
            if line.rstrip() == FAIL:
                state = self.fail((1,), None, ("x",), now_ms).states[0]
                assert state is not None
                replies += b'{"ok":true,"state":"%b"}\n' % state.name.lower().encode()
            elif line.strip():
                break
            consumed += len(line)
            self.executed += 1
        return consumed, replies


@pytest.fixture
def desk() -> Desk:
    return Desk(core=FewLines)


def test_stats_of_the_server_tell_what_was_declined(desk: Desk) -> None:
    of_all, of_one = desk.caller().ask(STATS, b'{"cmd":"STATS","queue":"q"}')
    assert msgspec.json.decode(of_all)["declined"] == {"rare": 2}
    assert b"declined" not in of_one
    assert b"declined" not in Desk(core=PythonCore).caller().ask(STATS)[0]


def test_each_line_that_kernels_decline_counts_once() -> None:
    require_core("array")
    caller = Desk(core=ArrayCore).caller()
    caller.ask(PUSH, PUSH, PING, PUSH, PUSH[:-1] + b',"x":1}', PULL, PULL)
    (reply,) = caller.ask(STATS)
    assert msgspec.json.decode(reply)["declined"] == {
        "unknown_queue": 1,
        "other_command": 2,
        "unknown_field": 1,
    }


def test_lines_of_both_kinds_are_answered_in_order(desk: Desk) -> None:
    caller = desk.caller()
    assert caller.ask(PING, PUSH, PULL, FAIL, PULL, PING, FAIL) == [
        PONG,
        b'{"ok":true,"id":1}',
        one(job(1)),
        b'{"ok":true,"state":"ready"}',
        one(job(1, attempts=2)),
        PONG,
        b'{"ok":true,"state":"ready"}',
    ]


def test_lines_that_it_takes_without_a_reply(desk: Desk) -> None:
    caller = desk.caller()
    caller.ask(PING)
    assert caller.ask(b"", b"\r") == []
    assert caller.ask(b"", PING, b"") == [PONG]
    assert isinstance(desk.engine.core, FewLines)
    assert desk.engine.core.executed == 4


def test_a_first_line_is_left_to_it_if_it_begins_as_an_object(desk: Desk) -> None:
    desk.caller().ask(PUSH, PULL)
    caller = desk.caller()
    assert caller.ask(FAIL) == [b'{"ok":true,"state":"ready"}']
    assert isinstance(desk.engine.core, FewLines)
    assert desk.engine.core.executed == 1
    (refused,) = caller.ask(b"GET / HTTP/1.1")
    assert code_of(refused) == "BAD_JSON"
    assert not caller.hang_ups, "an object came first"


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1", b'{"cmd":"PING"', b"", b" " + FAIL])
def test_a_first_line_that_it_leaves_is_looked_at(desk: Desk, first: bytes) -> None:
    desk.caller().ask(PUSH, PULL)
    caller = desk.caller()
    replies = caller.ask(first, b"nonsense")
    assert caller.hang_ups == (0 if FAIL in first else 1)
    assert len(replies) == (2 if FAIL in first else 1)
    assert isinstance(desk.engine.core, FewLines)
    assert desk.engine.core.executed == 0


def test_a_line_that_it_executes_wakes_those_who_wait(desk: Desk) -> None:
    holder, waiter = desk.caller(), desk.caller()
    holder.ask(PUSH, PULL)
    assert waiter.ask(PULL) == []
    assert holder.ask(FAIL) == [b'{"ok":true,"state":"ready"}']
    assert waiter.heard() == [one(job(1, attempts=2))]


def test_when_it_breaks_one_session_ends(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caller, other = desk.caller(), desk.caller()
    with caplog.at_level(logging.ERROR):
        pong, broken = caller.ask(PING, BOOM, PING)
    assert pong == PONG
    assert code_of(broken) == "INTERNAL"
    assert caller.hang_ups == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the core failed to execute lines"
    ]
    assert other.ask(PING, PING) == [PONG, PONG]


def test_it_executes_nothing_once_the_server_stops(desk: Desk) -> None:
    caller = desk.caller()
    caller.ask(PUSH, PULL)
    desk.engine.stop(desk.now)
    assert caller.ask(b"", FAIL) == [b'{"ok":true,"state":"ready"}']
    assert isinstance(desk.engine.core, FewLines)
    assert desk.engine.core.executed == 0
