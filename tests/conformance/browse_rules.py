"""Rules about looking through jobs: by id, and in the order they will come.

They are a part of the state machine in `test_against_model`. Pages are followed to their
end, each side by its own `next`, since a core may end a page earlier.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.driver import BYTES_MAX, Driver, answered
from conformance.naive_core import NaiveCore
from magicqueue_cores.contract import LIVE, JobState, Search

_STATES = st.sampled_from(
    [frozenset(JobState), LIVE, *(frozenset((state,)) for state in JobState)]
)
_SIZES = st.sampled_from([0, 1, 9, BYTES_MAX])


class BrowseRules(RuleBasedStateMachine):
    """A part of `CoreMachine`, which sets the driver and the model."""

    driver: Driver
    model: NaiveCore

    def both(self, verb: str, *arguments: Any, **named: Any) -> Any:
        raise NotImplementedError

    @rule(
        queue=st.none() | st.sampled_from("abc"),
        states=_STATES,
        contains=st.sampled_from([b"", b"", b"x", b"xx", b"\0"]),
        count=st.integers(1, 4),
        scan_max=st.sampled_from([1, 2, 5, 100]),
        bytes_max=_SIZES,
    )
    def browse(
        self,
        queue: str | None,
        states: frozenset[JobState],
        contains: bytes,
        count: int,
        scan_max: int,
        bytes_max: int,
    ) -> None:
        search = Search(queue=queue, states=states, contains=contains)
        limits = count, scan_max, bytes_max, self.driver.now
        page = self.both("browse", search, 0, *limits)
        while page.next_id is not None:
            page = self.both("browse", search, page.next_id, *limits)

    @rule(
        queue=st.sampled_from("abc"),
        state=st.sampled_from(JobState),
        count=st.integers(1, 4),
        bytes_max=_SIZES,
    )
    def list_in_turn(self, queue: str, state: JobState, count: int, bytes_max: int) -> None:
        self.both("advance", self.driver.now)
        after = expected_after = None
        while True:
            limits = count, bytes_max, self.driver.now
            got = answered(self.driver.core.in_turn(queue, state, after, *limits))
            expected = self.model.in_turn(queue, state, expected_after, *limits)
            assert got.jobs == expected.jobs
            assert (got.next_place is None) == (expected.next_place is None)
            after, expected_after = got.next_place, expected.next_place
            if after is None:
                break
        self.driver.core.check()
