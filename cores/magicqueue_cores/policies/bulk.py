"""What BULK does to jobs that a search found: what the single commands do, to many at once.

Cancels and promotions are verbs on many jobs anyway. Dead letters are revived or removed
here by their ids, in one record, and those stay dead whose unique key another job holds.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from magicqueue_cores.contract import LIVE, JobState
from magicqueue_cores.policies.ground import Ground, at_once
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.retrying import Retrying
from magicqueue_cores.policies.verdicts import Verdicts

Deed: TypeAlias = Literal["cancel", "promote", "retry", "purge"]

_DEAD: Final = frozenset((JobState.DEAD,))
STATES: Final[dict[Deed, frozenset[JobState]]] = {
    "cancel": LIVE,
    "promote": frozenset((JobState.DELAYED,)),
    "retry": _DEAD,
    "purge": _DEAD,
}
"""The states of jobs to which each can be done."""


class Bulk:
    """Does one thing to many jobs of a queue."""

    def __init__(
        self, ground: Ground, verdicts: Verdicts, retrying: Retrying, outcomes: Outcomes
    ) -> None:
        self._core = ground.core
        self._verdicts = verdicts
        self._retrying = retrying
        self._outcomes = outcomes

    def do(self, deed: Deed, queue: str, ids: Sequence[int], now_ms: int) -> int:
        """Do it to those of the jobs to which it can be done; return how many these are.

        ids: jobs of the queue, each once.
        """
        if not ids:
            return 0
        core = self._core
        if deed == "cancel":
            return len(ids) - len(self._verdicts.cancel(ids, now_ms).missing)
        if deed == "promote":
            settled = at_once(core.promote(ids, now_ms))
        elif deed == "retry":
            ids = self._retrying.free(queue, ids, now_ms)
            settled = at_once(core.revive(ids, now_ms))
        else:
            settled = at_once(core.remove(ids, _DEAD, "purged", now_ms))
        self._outcomes.settle(now_ms)
        return len(ids) - len(settled.missing)
