"""What the server does again and again goes on after a turn of it that failed.

Each fault is put in for one turn; what is due after it comes all the same.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from http_client import Http, request, with_http
from magicqueue_server import doorkeeper
from magicqueue_server.app import App
from magicqueue_server.http import connection
from magicqueue_server.http import server as http_server
from magicqueue_server.peers import LOOK_EVERY_MS, PeerWatch
from magicqueue_server.timekeeper import PULSE_S, Timekeeper
from magicqueue_server.tokens import Token, digest_of, read_tokens
from magicqueue_server.trimming import SPARE_BYTES_MAX, Trimmer
from magicqueue_server.turns import Turns
from patience import PATIENCE_S
from server.desk import StillClock


class FaultError(Exception):
    """What no code here expects."""


class Handle:
    """A timer of `Hands`."""

    def __init__(self, at_s: float, call: Callable[[], object]) -> None:
        self.at_s = at_s
        self.call = call
        self.over = False

    def when(self) -> float:
        return self.at_s

    def cancel(self) -> None:
        self.over = True


class Hands:
    """A loop that is turned by hand; what its calls raise is counted, as a loop logs it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.faults = 0
        self._timers: list[Handle] = []
        self._soon: list[Callable[[], object]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, wait_s: float, call: Callable[..., object], *rest: Any) -> Handle:
        return self.call_at(self.now_s + wait_s, call, *rest)

    def call_at(self, at_s: float, call: Callable[..., object], *rest: Any) -> Handle:
        self._timers.append(Handle(at_s, lambda: call(*rest)))
        return self._timers[-1]

    def call_soon(self, call: Callable[..., object], *rest: Any) -> None:
        self._soon.append(lambda: call(*rest))

    def pass_time(self, span_s: float) -> None:
        """Let timers go off that are due, in order, and what they want soon."""
        until_s = self.now_s + span_s
        while True:
            live = [one for one in self._timers if not one.over and one.at_s <= until_s]
            for call in self._taken():
                self._run(call)
            if not live and not self._soon:
                break
            if live:
                first = min(live, key=lambda one: one.at_s)
                self.now_s = max(self.now_s, first.at_s)
                first.over = True
                self._run(first.call)
        self.now_s = until_s

    def _taken(self) -> list[Callable[[], object]]:
        calls, self._soon = self._soon, []
        return calls

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except FaultError:
            self.faults += 1


class Faults:
    """Raises at the calls whose numbers are in `at`, from 1."""

    def __init__(self, *at: int) -> None:
        self.at = at
        self.calls = 0

    def __call__(self, *_: Any, **__: Any) -> None:
        self.calls += 1
        if self.calls in self.at:
            raise FaultError


def as_loop(hands: Hands) -> asyncio.AbstractEventLoop:
    return cast("asyncio.AbstractEventLoop", hands)


class Machine:
    """An engine and a clock for a timekeeper, each of whose parts may fail."""

    ahead_ms = 0
    next_deadline_ms = 2**62

    def __init__(self, **faults: Faults) -> None:
        self.hands = Hands()
        self.core = self
        self.follow_wall = faults.get("follow_wall", Faults())
        self.pulse = faults.get("pulse", Faults())
        self.advance = Faults()
        machine = cast("Any", self)
        turns = Turns(self.hands.call_soon, machine)
        self.keeper = Timekeeper(as_loop(self.hands), machine, machine, turns)
        self.keeper.on_pulse = self.pulse
        self.keeper.start()

    def now_ms(self) -> int:
        return round(self.hands.now_s * 1000)

    def monotonic_ns(self) -> int:
        return self.now_ms() * 1_000_000

    def clock_ahead(self, ahead_ms: int) -> None:
        pass

    def end_leases(self, _until_ms: int, _now_ms: int) -> bool:
        self.next_deadline_ms = 2**62
        return True


@pytest.mark.parametrize("part", ["follow_wall", "pulse"])
def test_the_pulse_goes_on(part: str) -> None:
    machine = Machine(**{part: Faults(2, 3)})
    machine.hands.pass_time(10 * PULSE_S)
    assert machine.hands.faults == 2
    assert machine.pulse.calls >= 8
    machine.next_deadline_ms = machine.now_ms() + 10
    machine.keeper.follow_deadline()
    advanced = machine.advance.calls
    machine.hands.pass_time(1)
    assert machine.advance.calls > advanced, "and so do its timers"


def test_an_engine_that_fails_in_its_timer_is_asked_again() -> None:
    machine = Machine()
    machine.advance.at = (2,)
    machine.next_deadline_ms = 500
    machine.keeper.follow_deadline()
    machine.hands.pass_time(0.6)
    assert machine.hands.faults == 1
    machine.next_deadline_ms = 1_500
    machine.hands.pass_time(1)
    assert machine.advance.calls == 3, "the pulse has set the timer again"


def test_rounds_go_on() -> None:
    """A step that fails takes nobody's turn, and what is held back after it is told."""
    hands = Hands()
    turns = Turns(hands.call_soon, StillClock(lambda: 0))
    after = Faults()
    turns.run_round, turns.after_round = lambda _now_ms: turns.take_step(), after
    done: list[int] = []
    turns.go_on_later(Faults(1))
    turns.go_on_later(lambda: done.append(1))
    hands.pass_time(1)
    assert (hands.faults, done, after.calls) == (1, [1], 2)


class Spare:
    """A core that has much to give back, and fails to at first."""

    spare_bytes = SPARE_BYTES_MAX + 1

    def __init__(self, *at: int) -> None:
        self.faults = Faults(*at)

    def trim(self) -> bool:
        self.faults()
        self.spare_bytes = 0
        return True


def test_memory_is_given_back_after_a_step_that_failed() -> None:
    hands, core = Hands(), Spare(1)
    turns = Turns(hands.call_soon, StillClock(lambda: 0))
    turns.run_round = lambda _now_ms: turns.take_step()
    trimmer = Trimmer(as_loop(hands), cast("Any", core), turns, lambda: None)
    for _ in range(3):
        trimmer.look()
        hands.pass_time(1)
    assert (hands.faults, core.faults.calls, core.spare_bytes) == (1, 2, 0)


class Peer:
    """A peer that fails when it is looked at for the first time."""

    def __init__(self) -> None:
        self.look = Faults(1)


def test_peers_are_looked_at_again() -> None:
    hands, peer = Hands(), Peer()
    watch = PeerWatch(as_loop(hands))
    watch._peers["one"] = cast("Any", peer)
    with pytest.raises(FaultError):
        watch._look()
    hands.pass_time(2 * LOOK_EVERY_MS / 1000)
    assert peer.look.calls == 3


def test_sessions_end_whose_token_is_over_though_one_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails is tried again later, and keeps no other one in."""
    monkeypatch.setattr(doorkeeper, "_LOOK_S_MAX", 0.01)
    path = tmp_path / "tokens.toml"
    path.write_text(
        f'[tokens.a]\nsha256 = "{digest_of("a").hex()}"\nscopes = ["admin"]\n'
        "expires = 2030-01-31T00:00:00Z\n"
    )
    path.chmod(0o600)
    wall_ms = 1_000 * round(datetime(2030, 1, 31, tzinfo=UTC).timestamp()) - 1
    monkeypatch.setattr(doorkeeper.Doorkeeper, "_wall_ms", lambda _: wall_ms)

    async def watch() -> tuple[int, int]:
        nonlocal wall_ms
        keeper = doorkeeper.Doorkeeper(path, cast("Any", None), cast("Any", None))
        token = read_tokens(path).find("a")
        assert token is not None
        guests = [Guest(token, Faults(1)), Guest(token, Faults())]
        keeper.begin(cast("Any", guests))
        assert [guest.calls.calls for guest in guests] == [0, 0], "the control"
        wall_ms += 1
        async with asyncio.timeout(PATIENCE_S):
            await guests[0].told_twice.wait()
        keeper.close()
        return guests[0].calls.calls, guests[1].calls.calls

    first, second = asyncio.run(watch())
    assert first >= 2
    assert second >= 1
    assert "could not be ended" in caplog.text


class Guest:
    """A connection with a token."""

    def __init__(self, token: Token, end_session: Faults) -> None:
        self.session = self
        self.token = token
        self.calls = end_session
        self.told_twice = asyncio.Event()

    def end_session(self, error: Exception) -> None:
        if self.calls.calls:
            self.told_twice.set()
        self.calls(error)


def test_slow_http_connections_are_closed_though_one_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_server, "_SWEEP_S", 0.01)
    looks = Faults(1, 2)
    monkeypatch.setattr(connection.HttpConnection, "check_time", lambda *_: looks())

    async def scenario(_app: App, http: Http) -> None:
        assert await http.ends(), "one that fails is closed"
        async with await Http.connect(_app) as other:
            assert await other.ends()
        async with await Http.connect(_app) as other, asyncio.timeout(PATIENCE_S):
            while looks.calls < 5:
                assert (await other.get("/health")).status == 200

    asyncio.run(with_http(scenario, {"core": "python"}))
    assert "and ends" in caplog.text


def test_an_http_request_that_fails_within_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its client would wait for ever, in a connection that answers nothing."""
    runs = http_server.HttpServer.run
    fault = Faults(1)

    def run(*args: Any) -> None:
        fault()
        runs(*args)

    monkeypatch.setattr(http_server.HttpServer, "run", run)

    async def scenario(app: App, http: Http) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        http.send(request("POST", "/v1/stats", b"{}"))
        assert await http.ends()
        async with await Http.connect(app) as other:
            assert (await other.post("/v1/stats")).status == 200
            assert len(app.http.connections if app.http else ()) == 1

    asyncio.run(with_http(scenario, {"core": "python"}))
