"""Hypothesis calls the same verbs of both cores: same answers, refusals, records, wake-ups.

The rules are those of the test against the naive model, which goes along: so three are
compared. Only `memory_bytes` may differ, by what a job costs each core.
"""

from collections.abc import Callable
from typing import Any

import pytest

from conformance.driver import Driver, require_core, without_memory
from conformance.test_against_model import ROOMY, CoreMachine
from differential.twins import plain
from machines import run_machine
from magicqueue_cores.contract import CoreError, CoreStats, RecordSink
from magicqueue_cores.records import Record

_TIGHT = {**ROOMY, "jobs_max": 12, "queues_max": 2}


class _Twins:
    """Two cores in the place of one; what it is asked is asked of both, and compared."""

    def __init__(self, one: Driver, two: Driver) -> None:
        self._sides = one, two
        self._cores = one.core, two.core
        self._seen = 0
        self.capabilities = one.core.capabilities
        self.other_sink: RecordSink | None = None

    def observe(self, sink: RecordSink | None) -> None:
        self._cores[0].observe(sink)
        self._cores[1].observe(self.other_sink)

    @property
    def next_deadline_ms(self) -> int:
        return self._cores[0].next_deadline_ms

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *arguments, **named: self._both(verb, arguments, named)

    def _both(self, verb: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        one, two = self._sides
        del two.woken[:]
        outcomes = [self._told(core, verb, arguments, named) for core in self._cores]
        assert outcomes[0][1:] == outcomes[1][1:], f"{verb} {arguments} {named}"
        assert self._news(one) == self._news(two), f"{verb} {arguments} {named}"
        self._seen = len(one.records)
        assert set(two.woken) <= set(one.woken)
        answer, refusal, _ = outcomes[0]
        if refusal is not None:
            raise refusal[0](refusal[1])
        return answer

    def _told(
        self, core: Any, verb: str, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Any, tuple[type[CoreError], str] | None, Any]:
        """The answer, the refusal, and the answer in a form that may be compared."""
        try:
            answer = getattr(core, verb)(*arguments, **named)
        except CoreError as refusal:
            return None, (type(refusal), str(refusal)), None
        if not isinstance(answer, CoreStats):
            return answer, None, answer
        return answer, None, without_memory(answer)

    def _news(self, side: Driver) -> list[Any]:
        return [plain(record) for record in side.records[self._seen :]]


class _TwinMachine(CoreMachine):
    """The python core with its model, and the array core beside it."""

    name = "python"

    def __init__(self) -> None:
        super().__init__()
        other = Driver("array", **self.options)
        twins: Any = _Twins(self.driver, other)
        self.driver.core = twins
        twins.other_sink = self.hear_other
        self.told_other: dict[int, list[str]] = {}
        """What the observer of the other core heard of each marked job."""

    def listen(self) -> None:
        super().listen()
        self.told_other = {}

    def hear_other(self, record: Record) -> None:
        told, self.told = self.told, self.told_other
        self.hear(record)
        self.told = told

    def both(self, verb: str, *arguments: Any, **named: Any) -> Any:
        answer = super().both(verb, *arguments, **named)
        assert self.told_other == self.told
        return answer


@pytest.mark.timeout(600)  # shrinking a failure takes up to five minutes
@pytest.mark.parametrize("options", [ROOMY, _TIGHT], ids=["roomy", "tight"])
def test_both_cores_do_the_same(options: dict[str, int]) -> None:
    require_core("array")
    machine = type("Machine", (_TwinMachine,), {"options": options})
    run_machine(machine, 60, 60)
