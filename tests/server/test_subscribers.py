"""Subscribers that do not read, or not yet: what is kept of theirs is bounded and told."""

from collections.abc import Callable

import msgspec
import pytest

from magicqueue.wire.events import EventLine, event_line
from magicqueue_server import subscribers
from magicqueue_server.session import Session
from magicqueue_server.subscribers import KEPT_BYTES_MAX, Subscriber
from server.desk import Caller, Desk


class Reader:
    """A session whose other side reads when it is told to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.session = Session(1, self.written.append, lambda: None, lambda: None)
        self.one = Subscriber(self.session, frozenset({"dead"}), None, 1000)

    def lines(self) -> list[bytes]:
        text = b"".join(self.written)
        self.written.clear()
        return text.splitlines(keepends=True)


def line(number: int, size: int = 1000) -> bytes:
    head = event_line(EventLine(event="dead", queue="q", ids=[number]))
    return head[:-2] + b',"x":"%b"}\n' % (b"x" * (size - len(head) - 7))


def dropped(count: int) -> bytes:
    return event_line(EventLine(event="dropped", count=count))


def test_lines_come_in_order_and_in_few_pieces() -> None:
    reader = Reader()
    lines = [line(number) for number in range(500)]
    for one in lines:
        reader.one.put(one)
    assert reader.written == []
    reader.one.send()
    assert len(reader.written) < 10
    assert reader.lines() == lines
    assert reader.one.kept_bytes == 0


def test_who_does_not_read_loses_what_is_over_the_bound_and_is_told() -> None:
    reader = Reader()
    reader.session.congested = True
    fit = KEPT_BYTES_MAX // 1000
    for number in range(fit + 700):
        reader.one.put(line(number))
        reader.one.send()
        assert reader.one.kept_bytes <= KEPT_BYTES_MAX
    assert reader.written == []
    reader.session.congested = False
    reader.one.send()
    assert reader.lines() == [*(line(n) for n in range(fit)), dropped(700)]
    reader.one.put(line(7))
    reader.one.send()
    assert reader.lines() == [line(7)], "that is told once"


def test_the_next_line_that_fits_says_how_many_were_lost() -> None:
    reader = Reader()
    reader.session.congested = True
    reader.one.put(line(0, KEPT_BYTES_MAX - 500))
    for number in range(3):
        reader.one.put(line(number, 600))
    small = line(9, 100)
    reader.one.put(small)
    reader.session.congested = False
    reader.one.send()
    assert reader.lines()[1:] == [dropped(3), small]


def test_no_more_is_written_at_once_than_is_read() -> None:
    """A transport that is full after a piece gets no further one."""
    reader = Reader()

    def write(piece: bytes) -> None:
        reader.written.append(piece)
        reader.session.congested = True

    reader.session.write = write
    for number in range(900):
        reader.one.put(line(number))
    reader.one.send()
    assert len(reader.written) == 1
    assert len(reader.written[0]) <= 66_000
    kept = reader.one.kept_bytes
    reader.one.send()
    assert (len(reader.written), reader.one.kept_bytes) == (1, kept)


def test_what_a_log_holds_back_is_bounded_too() -> None:
    reader = Reader()
    reader.session.replies_held = 1
    for number in range(1000):
        reader.one.put(line(number))
    assert reader.one.send(), "it is to be tried again"
    assert sum(map(len, reader.written)) < 400_000
    reader.session.replies_held = 0
    assert not reader.one.send()
    assert len(reader.lines()) == 1000


def test_who_is_hung_up_on_hears_nothing_more() -> None:
    reader = Reader()
    reader.one.put(line(1))
    reader.session.last_words = b"bye\n"
    reader.one.send()
    assert (reader.written, reader.one.kept_bytes) == ([], 0)


FAULTS = {
    "no bound": ("KEPT_BYTES_MAX", 2**40),
    "all at once": ("_AT_ONCE_BYTES", 2**40),
    "a log holds all": ("_HELD_BYTES_MAX", 2**40),
}
TESTS = (
    test_who_does_not_read_loses_what_is_over_the_bound_and_is_told,
    test_no_more_is_written_at_once_than_is_read,
    test_what_a_log_holds_back_is_bounded_too,
)


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, *FAULTS[fault])
    assert not all(map(_passes, TESTS))


def _passes(test: Callable[[], None]) -> bool:
    try:
        test()
    except AssertionError:
        return False
    return True


def events(caller: Caller) -> list[dict[str, object]]:
    return [msgspec.json.decode(reply) for reply in caller.heard()]


def test_a_slow_reader_slows_nobody_down_and_hears_the_rest_later() -> None:
    desk = Desk()
    slow, quick, worker = desk.caller(), desk.caller(), desk.caller()
    for caller in (slow, quick):
        caller.ask(b'{"cmd":"SUBSCRIBE","kinds":["paused"]}')
    slow.session.congested = True
    name = b"q" * 255
    turns = 4000
    for _ in range(turns // 2):
        worker.send(b'{"cmd":"PAUSE","queue":"%b"}' % name, settle=False)
        worker.send(b'{"cmd":"RESUME","queue":"%b"}' % name, settle=False)
    desk.settle()
    assert len(events(quick)) == turns
    assert slow.heard() == []
    slow.session.congested = False
    slow.session.on_read()
    told = events(slow)
    lost = told.pop()
    assert lost["event"] == "dropped"
    assert len(told) + int(str(lost["count"])) == turns
    worker.ask(b'{"cmd":"PAUSE","queue":"other"}')
    assert [event["queue"] for event in events(slow)] == ["other"]
    policies = desk.engine.policies
    assert policies is not None
    assert policies.stats().events_dropped == lost["count"]
    assert policies.stats().subscribers == 2


@pytest.mark.parametrize("name", ['a"b', "\\u0041", "{}", "é€😀", "</script>", "\u2028"])
def test_names_come_back_as_they_are(name: str) -> None:
    desk = Desk()
    listener, worker = desk.caller(), desk.caller()
    ask = msgspec.json.encode
    listener.ask(ask({"cmd": "SUBSCRIBE", "kinds": ["paused"], "queues": [name]}))
    worker.ask(ask({"cmd": "PAUSE", "queue": name}), b'{"cmd":"PAUSE","queue":"no"}')
    (event,) = events(listener)
    assert event["queue"] == name


def test_a_subscriber_that_ends_its_side_is_let_go() -> None:
    desk = Desk()
    listener, worker = desk.caller(), desk.caller()
    listener.ask(b'{"cmd":"SUBSCRIBE","kinds":["paused"]}')
    desk.engine.leave(listener.session, desk.now)
    assert listener.hang_ups == 1
    worker.ask(b'{"cmd":"PAUSE","queue":"q"}')
    assert listener.heard() == []
    listener.close()
    policies = desk.engine.policies
    assert policies is not None
    assert policies.stats().subscribers == 0
