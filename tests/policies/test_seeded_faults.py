"""The proof that the tests of policies bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from conformance.driver import require_core
from magicqueue_cores.contract import CoreError
from magicqueue_cores.policies.course import Course
from magicqueue_cores.policies.doomed import Doomed
from magicqueue_cores.policies.ground import Ground
from magicqueue_cores.policies.marks import Marks
from magicqueue_cores.policies.notebook import Notebook
from magicqueue_cores.policies.passage import Passage
from magicqueue_cores.policies.pushing import Pushing
from magicqueue_cores.policies.retrying import Retrying
from magicqueue_cores.policies.shelf import Shelf
from magicqueue_cores.policies.verdicts import Verdicts
from magicqueue_cores.policies.wishes import HOLDS, Mark
from magicqueue_cores.records import Kept, Marked, Removed
from policies import test_ends as ends
from policies import test_exits as exits
from policies import test_requests as requests
from policies import test_steps_of_time as steps
from policies import test_times as times
from policies import test_unique_keys as keys
from policies.layered import Layered
from seeded import noticed

Patch = pytest.MonkeyPatch
NAME = "python"


def of_keys() -> None:
    keys.test_the_holder_answers_for_a_duplicate(Layered(NAME))
    for until in ("done", "start"):
        keys.test_a_key_is_held_through_retries_or_until_the_start(Layered(NAME), until)
    keys.test_a_job_that_was_started_takes_its_key_no_more(Layered(NAME), "fail")
    keys.test_a_key_can_be_held_for_a_time_of_its_own(Layered(NAME))
    keys.test_windows_are_bounded_the_oldest_goes_first(NAME)
    keys.test_items_of_a_batch_come_in_turn(Layered(NAME))
    keys.test_replacements_that_are_too_large_together_change_nothing(NAME)
    keys.test_keys_count_as_memory(NAME)
    keys.test_of_a_queue_those_stay_dead_whose_key_is_held(NAME, 2)


def of_requests() -> None:
    requests.test_a_repeat_has_the_same_ids_and_makes_no_job(Layered(NAME))
    requests.test_it_ends_with_its_time(NAME)


def of_times() -> None:
    times.test_an_expired_job_may_be_a_dead_letter(Layered(NAME))
    for back in ("fail", "release", "close"):
        times.test_a_job_at_work_is_left_alone_and_does_not_run_again(Layered(NAME), back)
    times.test_no_job_is_handed_out_after_its_time_while_steps_lag(NAME)
    times.test_a_key_is_free_at_the_expiry_while_steps_lag(NAME)
    times.test_an_attempt_that_takes_too_long_failed(Layered(NAME))
    times.test_a_time_out_is_of_its_attempt_alone(Layered(NAME))
    times.test_entries_of_settled_jobs_do_not_pile_up(Layered(NAME))
    steps.test_one_leap_is_as_many()


def of_ends() -> None:
    ends.test_a_result_is_kept_for_its_time(Layered(NAME))
    ends.test_of_two_verdicts_the_accepted_one_brings_the_result(Layered(NAME))
    ends.test_results_are_bounded_by_count_and_bytes(NAME)
    for end in ("fail", "close", "lease", "time", "direct"):
        ends.test_a_cancelled_job_ends_as_such_however_it_ends(
            NAME, end, again=end == "fail", lost_max=1
        )
    ends.test_leases_of_cancelled_jobs_that_were_postponed_go_on(Layered(NAME))
    ends.test_progress_is_told_until_the_job_is_settled(Layered(NAME))


def of_exits() -> None:
    for make, leave, state in exits.WAYS:
        exits.test_nothing_of_a_job_stays(NAME, make, leave, state, restarts=False)


DETECTORS = (of_keys, of_requests, of_times, of_ends, of_exits)


def drained_jobs_keep_their_keys(patch: Patch) -> None:
    real = Course._removed

    def removed(course: Course, record: Removed) -> None:
        if record.cause != "drained":
            real(course, record)

    patch.setattr(Course, "_removed", removed)


def windows_restart_with_the_server(patch: Patch) -> None:
    real = Course._kept

    def kept(course: Course, record: Kept) -> None:
        shelf = course._shelves[record.space]
        later = [shelf.value(int.from_bytes(v[:8]) + 9, v[16:]) for v in record.values]
        real(course, Kept(record.space, record.keys, later))

    patch.setattr(Course, "_kept", kept)


def expired_jobs_that_come_back_run_again(patch: Patch) -> None:
    real = Marks.come_back

    def come_back(marks: Marks, job_id: int, mark: Mark, *, stays: bool) -> None:
        noted = list(marks.notes.back)
        real(marks, job_id, mark, stays=stays)
        marks.notes.back[:] = noted

    patch.setattr(Marks, "come_back", come_back)


def nothing_goes_at_a_bound(patch: Patch) -> None:
    patch.setattr(Shelf, "overflow", lambda _: [])


def a_retry_takes_a_start_key_again(patch: Patch) -> None:
    real = Marks.come_back

    def come_back(marks: Marks, job_id: int, mark: Mark, *, stays: bool) -> None:
        real(marks, job_id, mark, stays=stays)
        queue, key = mark.terms.queue, mark.key
        if key is not None and marks.keys.holder(queue, key) is None:
            marks.keys.take(queue, key, job_id)
            mark.flags |= HOLDS

    patch.setattr(Marks, "come_back", come_back)


def cancelled_jobs_are_retried(patch: Patch) -> None:
    patch.setattr(Verdicts, "_any_doomed", lambda *_: False)


def cancelled_jobs_count_as_lost(patch: Patch) -> None:
    patch.setattr(Doomed, "over", lambda *_: [])


def cancelled_jobs_of_a_closed_session_may_die(patch: Patch) -> None:
    patch.setattr(Doomed, "of_session", lambda *_: [])


def ends_of_attempts_are_not_durable(patch: Patch) -> None:
    real = Ground.change

    def change(ground: Ground, changed: Sequence[tuple[int, Mark]]) -> None:
        record, ground._record = ground._record, None
        real(ground, changed)
        ground._record = record

    patch.setattr(Ground, "change", change)


def cancels_and_marks_are_not_replayed(patch: Patch) -> None:
    def marked(_: Course, __: Marked) -> None:
        """Know nothing."""

    patch.setattr(Course, "_marked", marked)


def held_keys_do_not_keep_letters_dead(patch: Patch) -> None:
    patch.setattr(Retrying, "free", lambda _, __, letters, ___: letters)


def a_revived_job_has_its_old_expiry(patch: Patch) -> None:
    real = Marks.revive

    def revive(marks: Marks, job_id: int, mark: Mark, at_ms: int) -> None:
        real(marks, job_id, mark, at_ms - 1 if mark.terms.ttl_ms else at_ms)

    patch.setattr(Marks, "revive", revive)


def growth_of_replaced_jobs_is_not_foreseen(patch: Patch) -> None:
    patch.setattr(Pushing, "_growth", lambda *_: 0)


def time_outs_of_earlier_attempts_count(patch: Patch) -> None:
    patch.setattr(Marks, "_attempt_ends_at", lambda marks, _, i: i in marks.by_id)


def progress_outlives_its_job(patch: Patch) -> None:
    patch.setattr(Notebook, "drop", lambda *_: None)


def pulls_do_not_care_for_what_lags(patch: Patch) -> None:
    patch.setattr(
        Passage, "lagging", property(lambda _: False, lambda _, __: None), raising=False
    )


def the_core_is_not_told_of_memory(patch: Patch) -> None:
    patch.setattr(Ground, "weigh", lambda *_: None)


def due_holders_keep_their_key_until_their_step(patch: Patch) -> None:
    patch.setattr(Mark, "due", lambda *_: False)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    drained_jobs_keep_their_keys,
    windows_restart_with_the_server,
    expired_jobs_that_come_back_run_again,
    nothing_goes_at_a_bound,
    a_retry_takes_a_start_key_again,
    cancelled_jobs_are_retried,
    cancelled_jobs_count_as_lost,
    cancelled_jobs_of_a_closed_session_may_die,
    ends_of_attempts_are_not_durable,
    cancels_and_marks_are_not_replayed,
    held_keys_do_not_keep_letters_dead,
    a_revived_job_has_its_old_expiry,
    growth_of_replaced_jobs_is_not_foreseen,
    time_outs_of_earlier_attempts_count,
    progress_outlives_its_job,
    pulls_do_not_care_for_what_lags,
    the_core_is_not_told_of_memory,
    due_holders_keep_their_key_until_their_step,
)


def detections() -> Iterator[str]:
    require_core(NAME)
    yield from noticed(DETECTORS, CoreError, pytest.fail.Exception)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
