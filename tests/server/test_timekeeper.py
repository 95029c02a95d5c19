"""Leases end after what had arrived was read; clocks and stalls move no lease.

The loop, the clock and the sockets are made by hand: no test waits, and none is late.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from conformance.driver import require_core
from differential.twins import START_MS, Side
from magicqueue.wire.limits import Limits
from magicqueue_server.timekeeper import PULSE_S, Timekeeper
from magicqueue_server.turns import Turns

HOUR_MS = 3_600_000
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q","timeout":0,"lease":%d}'


class Handle:
    def __init__(self, at_s: float, call: Callable[[], None]) -> None:
        self.at_s = at_s
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class World:
    """A machine: its clocks, a loop by hand, what lies in sockets, and a server."""

    def __init__(self, core_name: str) -> None:
        self.side = Side(require_core(core_name), Limits())
        self.monotonic_ms = 0
        self.wall_ms = self.now = START_MS
        self.ahead_ms = 0
        self.sockets: list[tuple[int, bytes]] = []
        self._timers: list[Handle] = []
        self._soon: list[Callable[[], object]] = []
        for _ in range(2):
            self.side.open(START_MS)
        loop: Any = self
        turns = Turns(self._call_soon, self)
        self.keeper = Timekeeper(loop, self, self.side.engine, turns)
        self.keeper.start()

    def _call_soon(self, call: Callable[[], object]) -> None:
        self._soon.append(call)

    def now_ms(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.monotonic_ms * 1_000_000

    def follow_wall(self) -> int:
        self.ahead_ms += self.now - self.ahead_ms - self.wall_ms
        jump_ms = max(0, -self.ahead_ms)
        self.now += jump_ms
        self.ahead_ms += jump_ms
        return jump_ms

    def not_before(self, _ms: int) -> int:
        raise AssertionError("no log is opened here")

    def time(self) -> float:
        return self.monotonic_ms / 1000

    def call_later(self, wait_s: float, call: Callable[[], None]) -> Handle:
        handle = Handle(self.time() + wait_s, call)
        self._timers.append(handle)
        return handle

    def pass_time(self, span_ms: int) -> None:
        """Let time pass while the server does not run."""
        self.monotonic_ms += span_ms
        self.wall_ms += span_ms
        self.now += span_ms

    def serve(self, span_ms: int, step_ms: int = 10) -> None:
        """Let the server run for a while."""
        for _ in range(span_ms // step_ms):
            self.pass_time(step_ms)
            self.turn()
        self.turn()
        self.turn()

    def turn(self) -> None:
        """One turn of the loop: timers, what was to be called, then what arrived."""
        due = [one for one in self._timers if one.at_s <= self.time()]
        self._timers = [one for one in self._timers if one.at_s > self.time()]
        soon, self._soon = self._soon, []
        arrived, self.sockets = self.sockets, []
        for one in sorted(due, key=lambda one: one.at_s):
            if not one.cancelled:
                one.call()
        for call in soon:
            call()
        for number, line in arrived:
            self.side.feed(number, line + b"\n", self.now)
            self.keeper.follow_deadline()

    def ask(self, *lines: bytes, caller: int = 0) -> list[dict[str, Any]]:
        for line in lines:
            self.side.feed(caller, line + b"\n", self.now)
        self.keeper.follow_deadline()
        replies = self.side.replies()[caller].splitlines()
        return [msgspec.json.decode(reply) for reply in replies]

    def job(self, job_id: int = 1) -> dict[str, Any]:
        job: dict[str, Any] = self.ask(b'{"cmd":"GETJOB","id":%d}' % job_id)[0]["job"]
        return job


@pytest.fixture
def world(core_name: str) -> World:
    return World(core_name)


def heartbeats_that_lie_in_sockets_are_read_first(core_name: str) -> None:
    """The server stands still for longer than a lease; the worker never misses a beat."""
    world = World(core_name)
    world.ask(PUSH, PUSH, PULL % 300, PULL % 300)
    world.serve(100)
    world.sockets.append((1, b'{"cmd":"HEARTBEAT","id":1,"lease":300}'))
    world.pass_time(800)
    world.serve(200)
    assert world.job(1)["lost"] == 0
    assert world.job(1)["state"] == "active"
    assert world.job(2)["lost"] == 1, "the control: nobody spoke for this one"


def test_heartbeats_that_lie_in_sockets_are_read_first(core_name: str) -> None:
    heartbeats_that_lie_in_sockets_are_read_first(core_name)


def test_a_lease_that_is_over_ends_and_wakes_who_waits(world: World) -> None:
    world.ask(PUSH, PULL % 100)
    assert world.ask(b'{"cmd":"PULL","queue":"q"}', caller=1) == []
    world.serve(90)
    assert world.job()["state"] == "active"
    world.serve(20)
    assert (world.job()["lost"], world.job()["attempts"]) == (1, 2)


def test_time_that_was_not_served_counts_against_no_lease(world: World) -> None:
    """Worker and server were frozen together, as a container is: no heartbeat."""
    world.ask(PUSH, PULL % 3000)
    world.serve(1500)
    world.pass_time(20_000)
    world.serve(1000)
    assert world.job()["state"] == "active"
    world.serve(3000)
    assert world.job()["lost"] == 1


@pytest.mark.parametrize("hours", [2, -2])
def test_a_step_of_the_clock_ends_no_lease_and_freezes_none(
    world: World, hours: int
) -> None:
    world.ask(PUSH, PULL % 5000)
    world.wall_ms += hours * HOUR_MS
    world.serve(4500)
    assert world.job()["state"] == "active"
    assert world.job()["lease_until"] == world.wall_ms + 500
    world.serve(600)
    assert world.job()["lost"] == 1


@pytest.mark.parametrize("hours", [2, -2])
def test_after_a_step_moments_are_the_walls_and_spans_are_spans(
    world: World, hours: int
) -> None:
    world.ask(PUSH, PULL % 60_000)
    waiting = b'{"cmd":"PULL","queue":"none","timeout":5000}'
    assert world.ask(waiting, caller=1) == []
    world.wall_ms += hours * HOUR_MS
    world.serve(int(PULSE_S * 2000))
    assert world.side.replies()[1] == b"", "a pull waits as long as it asked"
    moment = world.wall_ms + 500
    world.ask(
        b'{"cmd":"PUSHB","queue":"m","jobs":[{"data":1,"run_at":%d}]}' % moment,
        b'{"cmd":"PUSH","queue":"m","data":2,"run_at":%d}' % (world.wall_ms - 60_000),
        b'{"cmd":"PUSH","queue":"m","data":3,"delay":400}',
    )
    (reply,) = world.ask(b'{"cmd":"PULLB","queue":"m","count":9,"timeout":0}')
    (past,) = reply["jobs"]
    assert (past["data"], past["created_at"]) == (2, world.wall_ms)
    world.serve(390)
    assert world.ask(b'{"cmd":"PULL","queue":"m","timeout":0}')[0]["job"] is None
    world.serve(10)
    delayed = world.ask(b'{"cmd":"PULL","queue":"m","timeout":0}')[0]["job"]
    assert (delayed["data"], delayed["run_at"]) == (3, world.wall_ms)
    world.serve(100)
    timely = world.ask(b'{"cmd":"PULL","queue":"m","timeout":0}')[0]["job"]
    assert (timely["data"], timely["run_at"]) == (1, moment)
    world.serve(3000)
    assert world.side.replies()[1] == b'{"ok":true,"job":null}\n'


def test_a_job_due_after_a_step_forward_comes_without_being_asked_for(
    world: World,
) -> None:
    """An idle server notices: nothing is sent, and no deadline is near."""
    world.ask(b'{"cmd":"PUSH","queue":"q","data":1,"run_at":%d}' % (START_MS + HOUR_MS))
    assert world.ask(b'{"cmd":"PULL","queue":"q"}', caller=1) == []
    world.wall_ms += 2 * HOUR_MS
    world.serve(int(PULSE_S * 1000))
    assert b'"id":1' in world.side.replies()[1]


def test_closed_it_calls_nobody(world: World) -> None:
    world.ask(PUSH, PULL % 100)
    world.pass_time(100)
    world.turn()
    world.keeper.close()
    world.serve(3000)
    assert world.job()["state"] == "active"
