"""The layer and the log: records that are told again, and what is told of all that is here.

A log that leaves old records out asks for what its jobs and facts are by then.
"""

from collections.abc import Sequence

from magicqueue_cores.policies import telling
from magicqueue_cores.policies.flows import Flows
from magicqueue_cores.policies.ground import Ground
from magicqueue_cores.policies.groups import Groups
from magicqueue_cores.policies.limits import Limits
from magicqueue_cores.policies.outcomes import Outcomes
from magicqueue_cores.policies.passage import Passage
from magicqueue_cores.records import Gone, Kept, Marked, Pushed, Record, Restarted


class Retelling:
    """Applies records that are told again, and tells all of what is here."""

    def __init__(
        self,
        ground: Ground,
        passage: Passage,
        outcomes: Outcomes,
        limits: Limits,
        groups: Groups,
        flows: Flows,
    ) -> None:
        self._ground = ground
        self._passage = passage
        self._outcomes = outcomes
        self._limits = limits
        self._groups = groups
        self._flows = flows

    def replay(self, record: Record) -> None:
        """Apply what happened once before, to the core and here."""
        core, notes = self._ground.core, self._ground.marks.notes
        at_ms = record.created_at_ms if isinstance(record, Pushed) else None
        self._passage.saw(getattr(record, "at_ms", 0) if at_ms is None else at_ms)
        if not isinstance(record, Marked | Kept | Gone):
            core.replay(record)
        notes.live = False
        self._ground.course.apply(record)
        notes.live = True
        self._limits.follow(record)
        self._groups.follow(record)
        if isinstance(record, Marked):
            core.mark(record.ids, marked=True)
        elif isinstance(record, Restarted):
            self._flows.rebuild()
        if notes.telling:
            self._outcomes.rule_telling()
        self._ground.weigh()

    def export(self, ids: Sequence[int]) -> Sequence[Record]:
        """Tell all of those of `ids` that are here: `Moved`, then `Marked`; or nothing."""
        moved, marks = self._ground.core.export(ids), self._ground.marks
        return [moved, *telling.marked_of(marks, moved.ids)] if moved.ids else []

    def export_facts(self, space: str, keys: Sequence[bytes]) -> Kept:
        """Tell those of the facts that still hold, in the order given."""
        held = self._ground.shelves[space].held(keys)
        return Kept(space, list(held), list(held.values()))
