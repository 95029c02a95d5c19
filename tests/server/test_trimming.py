"""When the server has its core give memory back, by a loop that is turned by hand."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from magicqueue_server.trimming import SPARE_BYTES_MAX, Trimmer
from magicqueue_server.turns import Turns
from server.desk import StillClock


class Hands:
    """A loop, and a core of which so much is spare; each trim gives a third of it back."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []
        self.later: list[Callable[[], object]] = []
        self.turns = Turns(self.soon.append, cast("Any", StillClock(lambda: 0)))
        self.turns.run_round = lambda _now_ms: self.turns.take_step()
        self.spare_bytes = 3 * SPARE_BYTES_MAX
        self.done: list[str] = []
        loop = cast("asyncio.AbstractEventLoop", self)
        core = cast("Any", self)
        self.trimmer = Trimmer(loop, core, self.turns, lambda: self.done.append("heap"))

    def call_later(self, _delay_s: float, call: Callable[[], object]) -> "Hands":
        self.later.append(call)
        return self

    def cancel(self) -> None:
        self.later.clear()

    def trim(self) -> bool:
        self.spare_bytes -= SPARE_BYTES_MAX
        self.done.append("part")
        return self.spare_bytes <= 0

    def go_round(self) -> int:
        rounds = 0
        while self.soon:
            self.soon.pop(0)()
            rounds += 1
        return rounds


def test_what_is_spare_twice_in_a_row_goes_back_a_part_a_round() -> None:
    hands = Hands()
    hands.trimmer.look()
    hands.trimmer.look()
    assert (len(hands.later), hands.done) == (1, [])
    hands.later.pop()()
    assert hands.go_round() == 3
    assert hands.done == ["part", "part", "part", "heap"]
    hands.trimmer.look()
    assert not hands.later, "nothing is spare"
    hands.spare_bytes = 2 * SPARE_BYTES_MAX
    hands.trimmer.look()
    assert len(hands.later) == 1, "and again"


def test_what_is_used_again_a_moment_later_stays() -> None:
    hands = Hands()
    hands.trimmer.look()
    hands.spare_bytes = SPARE_BYTES_MAX
    hands.later.pop()()
    assert (hands.go_round(), hands.done) == (0, [])
    hands.spare_bytes += 1
    hands.trimmer.look()
    assert len(hands.later) == 1, "it looks again"


def test_closed_it_begins_nothing() -> None:
    hands = Hands()
    hands.trimmer.look()
    hands.trimmer.close()
    hands.trimmer.look()
    assert not hands.later
