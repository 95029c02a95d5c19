"""The proof that the tests of marks and facts bite, as `test_seeded_faults` for the log."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from magicqueue_cores import records
from magicqueue_server.wal import groups, log, recovery
from magicqueue_server.wal import log as log_module
from magicqueue_server.wal.facts import Facts
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.log import Log
from magicqueue_server.wal.reclaim import Reclaimer
from magicqueue_server.wal.recovery import Replay
from magicqueue_server.wal.scan import Refused
from seeded import noticed
from wal import test_frames, test_marks_and_facts
from wal.stub_policies import StubPolicies

Patch = pytest.MonkeyPatch


def split_commands() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "GROUP_BYTES_MAX", test_frames.TINY)
        test_frames.cut_at_every_byte()
        test_frames.while_the_disk_is_busy()


def comes_to_rest() -> None:
    for fill in test_marks_and_facts.FILLS:
        test_marks_and_facts.comes_to_rest(fill)


DETECTORS: tuple[Callable[[], None], ...] = (
    split_commands,
    comes_to_rest,
    test_marks_and_facts.order,
    test_marks_and_facts.survive,
    test_marks_and_facts.random_lives,
    test_marks_and_facts.memory_stays_small,
    test_marks_and_facts.frames_of_moved_jobs,
    test_marks_and_facts.survive_kills,
)


def facts_go_with_their_segment(patch: Patch) -> None:
    patch.setattr(Reclaimer, "_move_facts", lambda *_: None)


def marks_go_with_their_segment(patch: Patch) -> None:
    real = StubPolicies.export

    def export(policies: StubPolicies, ids: Sequence[int]) -> Sequence[records.Record]:
        return real(policies, ids)[:1]

    patch.setattr(StubPolicies, "export", export)


def marks_are_in_a_frame_of_their_own(patch: Patch) -> None:
    def record_again(into: Log, known: Sequence[records.Record]) -> None:
        for record in known:
            into.record(record)
            into._open.again_bytes = into._open.body_bytes
            into._close_group()

    patch.setattr(Log, "record_again", record_again)


def what_is_written_again_is_new(patch: Patch) -> None:
    def record_again(into: Log, known: Sequence[records.Record]) -> None:
        for record in known:
            into.record(record)

    patch.setattr(Log, "record_again", record_again)
    patch.setattr(StubPolicies, "fact_bytes", 0)


def facts_stay_where_they_were_first(patch: Patch) -> None:
    real = Facts.kept

    def kept(facts: Facts, name: str, keys: Sequence[bytes], segment: int) -> None:
        real(facts, name, [k for k in keys if facts.segment(name, k) is None], segment)

    patch.setattr(Facts, "kept", kept)


def facts_are_not_found_at_a_start(patch: Patch) -> None:
    real = Replay._record

    def record(replay: Replay, one: records.Record) -> None:
        real(replay, one)
        replay.found.facts = Facts()

    patch.setattr(Replay, "_record", record)


def facts_are_not_followed_while_it_runs(patch: Patch) -> None:
    real = Group.note

    def note(group: Group, record: Any) -> None:
        real(group, record)
        group.facts.clear()

    patch.setattr(Group, "note", note)


def facts_that_are_gone_are_followed(patch: Patch) -> None:
    patch.setattr(Facts, "gone", lambda *_: None)
    patch.setattr(Facts, "forget", lambda *_: None)


def a_mark_of_an_unknown_job_counts(patch: Patch) -> None:
    real = Replay._known_part

    def known_part(replay: Replay, record: Any, sequence: int) -> None:
        if isinstance(record, records.Marked):
            replay._core.replay(record)
        else:
            real(replay, record, sequence)

    patch.setattr(Replay, "_known_part", known_part)


def a_group_is_split_where_it_is_long(patch: Patch) -> None:
    test_frames.split_by_size(patch)


def no_number_is_counted_of(kind: type[Any]) -> Callable[[Patch], None]:
    def fault(patch: Patch) -> None:
        patch.setattr(log, "NOTED", groups.NOTED - {kind})

    fault.__name__ = f"the_log_counts_no_number_of_{kind.__name__.lower()}"
    return fault


def no_place_is_kept_of(kind: type[Any]) -> Callable[[Patch], None]:
    """As if a record gave out no numbers where some of its jobs are unknown."""

    def fault(patch: Patch) -> None:
        kinds = tuple(one for one in recovery._SPLIT if one is not kind)
        patch.setattr(recovery, "_SPLIT", kinds)

    fault.__name__ = f"a_start_keeps_no_place_of_{kind.__name__.lower()}"
    return fault


FAULTS: tuple[Callable[[Patch], None], ...] = (
    facts_go_with_their_segment,
    marks_go_with_their_segment,
    marks_are_in_a_frame_of_their_own,
    what_is_written_again_is_new,
    facts_stay_where_they_were_first,
    facts_are_not_found_at_a_start,
    facts_are_not_followed_while_it_runs,
    facts_that_are_gone_are_followed,
    a_mark_of_an_unknown_job_counts,
    a_group_is_split_where_it_is_long,
    no_number_is_counted_of(records.Promoted),
    no_number_is_counted_of(records.Replaced),
    no_place_is_kept_of(records.Promoted),
    no_place_is_kept_of(records.Replaced),
)


def detections() -> Iterator[str]:
    yield from noticed(DETECTORS, Refused)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
