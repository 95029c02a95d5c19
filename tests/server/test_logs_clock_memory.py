"""The small parts: log lines that cannot be forged, a clock, the heap's settings."""

import json
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from magicqueue_server import logs, memory
from magicqueue_server.clock import SystemClock


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


EVIL = "x\r\n2026-01-01T00:00:00.000Z error   forged\x1b[31m\u2028 y"


def _log(capsys: pytest.CaptureFixture[str], log_format: str) -> str:
    logs.set_up("info", log_format)
    logger = logging.getLogger("magicqueue.test")
    logs.event(logger, logging.DEBUG, "not shown")
    logs.event(logger, logging.INFO, "hello", name="a", many="two words", none="")
    logs.event(logger, logging.WARNING, "client says", text=EVIL, long="z" * 9999)
    logger.info("in the event itself: %s", EVIL)
    try:
        dict[str, str]()[EVIL]
    except KeyError:
        logger.exception("failed")
    logger.error("failed again", exc_info=ValueError(EVIL))
    return capsys.readouterr().err


def test_text_lines_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    text = _log(capsys, "text")
    lines = text.split("\n")[:-1]
    assert [line.split()[1] for line in lines if not line.startswith(" ")] == [
        *("info", "warning", "info", "error", "error")
    ]
    assert lines[0].endswith("info    hello name=a many='two words' none=''")
    assert all(line.isprintable() for line in lines)
    assert all(len(line) < 600 for line in lines)
    assert "not shown" not in text
    assert "\\x1b[31m" in text
    assert any(line.startswith("    ValueError: x") for line in lines)
    assert any("KeyError" in line for line in lines)


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _log(capsys, "json").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events][:2] == ["hello", "client says"]
    assert events[1]["text"] == EVIL
    assert events[1]["level"] == "warning"
    assert events[1]["logger"] == "magicqueue.test"
    assert "KeyError" in events[3]["exception"]
    assert all(line.isprintable() for line in lines)


def test_the_clock_tells_the_time() -> None:
    begun_ms = time.time_ns() // 10**6
    now_ms = SystemClock().now_ms()
    ended_ms = time.time_ns() // 10**6
    assert begun_ms - 1 <= now_ms <= ended_ms + 1, "it rounds"


def test_the_clock_never_runs_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    before = clock.now_ms()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    times = [clock.now_ms() for _ in range(10_000)]
    assert times == sorted(times)
    assert times[0] >= before


class Machine:
    """The machine's two clocks, in nanoseconds, as a test turns them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms = 1_700_000_000_000
        self.monotonic_ms = 5_000
        monkeypatch.setattr(time, "time_ns", lambda: self.wall_ms * 10**6)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.monotonic_ms * 10**6)

    def run(self, ms: int) -> None:
        self.wall_ms += ms
        self.monotonic_ms += ms

    def step(self, ms: int) -> None:
        self.wall_ms += ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


HOUR_MS = 3_600_000


def test_a_clock_that_is_put_forward_is_followed_by_a_jump(machine: Machine) -> None:
    clock = SystemClock()
    machine.run(1000)
    machine.step(2 * HOUR_MS)
    assert clock.follow_wall() == 2 * HOUR_MS
    assert (clock.now_ms(), clock.ahead_ms) == (machine.wall_ms, 0)
    machine.run(1000)
    assert clock.follow_wall() == 0
    assert clock.now_ms() == machine.wall_ms


def test_a_clock_that_is_put_back_is_told_and_not_followed(machine: Machine) -> None:
    clock = SystemClock()
    before = clock.now_ms()
    machine.step(-2 * HOUR_MS)
    machine.run(1000)
    assert clock.follow_wall() == 0
    assert clock.now_ms() == before + 1000, "time goes on at its pace"
    assert clock.now_ms() - clock.ahead_ms == machine.wall_ms
    machine.step(HOUR_MS)
    assert clock.follow_wall() == 0, "it is still ahead"
    assert clock.ahead_ms == HOUR_MS
    machine.step(3 * HOUR_MS)
    assert clock.follow_wall() == 2 * HOUR_MS
    assert (clock.now_ms(), clock.ahead_ms) == (machine.wall_ms, 0)


def test_a_slewed_clock_is_followed_without_a_jump(machine: Machine) -> None:
    clock = SystemClock()
    told = []
    for slew_ms in (3, 50, -40, 60, -3):
        before = clock.now_ms()
        machine.run(1000)
        machine.step(slew_ms)
        told.append(clock.follow_wall())
        assert clock.now_ms() - before >= 1000
        assert clock.now_ms() - clock.ahead_ms == machine.wall_ms
    assert told == [0] * 5


def test_time_goes_on_from_the_log_and_knows_that_it_is_ahead(machine: Machine) -> None:
    clock = SystemClock()
    assert clock.not_before(machine.wall_ms - 5) == 0
    assert clock.not_before(machine.wall_ms + HOUR_MS) == HOUR_MS
    assert clock.now_ms() == machine.wall_ms + HOUR_MS
    assert clock.ahead_ms == HOUR_MS
    machine.step(HOUR_MS)
    assert clock.follow_wall() == 0, "time is what the wall says again, without a jump"
    assert clock.ahead_ms == 0


def test_the_heap_can_be_tuned_where_it_is_glibcs() -> None:
    tuned = memory.tune_heap()
    assert isinstance(tuned, bool)
    assert tuned or not sys.platform.startswith("linux")
