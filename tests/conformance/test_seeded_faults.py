"""The proof that the tests of bounds bite: each fault, put in on purpose, is caught."""

from collections.abc import Callable, Iterator

import pytest

from conformance import test_counts_and_bounds as bounds
from conformance import test_numbers as numbers
from conformance.driver import Driver, require_core
from magicqueue_cores import admission
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import CoreError
from magicqueue_cores.dead_letters import DeadLetters
from magicqueue_cores.job_table import JobTable
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.memory_tally import Tally

Patch = pytest.MonkeyPatch
CORES = ("python", "array")


def texts_fill_the_memory(name: str) -> None:
    bounds.test_error_texts_fill_the_memory(name, 5)
    bounds.test_another_error_takes_the_place_of_the_last(Driver(name))
    bounds.test_a_drained_queue_takes_what_it_took_before_its_jobs(Driver(name))


def losses_and_failures(name: str) -> None:
    for counts in numbers.EDGES[:3]:
        numbers.test_losses_are_no_failures(name, counts, "both")


def queues(name: str) -> None:
    bounds.test_only_pushes_are_refused_when_it_is_full(name, "jobs_max")
    bounds.test_a_queue_that_nobody_worked_on_is_forgotten(Driver(name))
    bounds.test_a_queue_that_was_worked_on_keeps_its_totals(Driver(name))
    bounds.test_dead_letters_are_bounded_by_their_texts_too(name)


DETECTORS = (texts_fill_the_memory, losses_and_failures, queues)


def texts_are_not_counted(patch: Patch) -> None:
    patch.setattr(Tally, "text_bytes", property(lambda _: 0, lambda _, __: None))


def old_texts_stay_counted(patch: Patch) -> None:
    real = Store.keep_error

    def keep_error(store: Store, job_id: int, error: str | None) -> None:
        before = store.text_bytes
        real(store, job_id, error)
        store.text_bytes = max(before, store.text_bytes)

    patch.setattr(Store, "keep_error", keep_error)


def heavy_jobs_are_not_counted_on(patch: Patch) -> None:
    patch.setattr(Store, "_count", lambda *_: None)


def failures_of_heavy_jobs_are_losses(patch: Patch) -> None:
    real = Store._count
    patch.setattr(Store, "_count", lambda store, i, _: real(store, i, lo.NOTE_LOST))


def sizes_of_letters_are_those_of_payloads(patch: Patch) -> None:
    real = DeadLetters.add
    patch.setattr(DeadLetters, "add", lambda self, i, size: real(self, i, min(size, 9)))


def totals_go_with_their_queue(patch: Patch) -> None:
    def forget_unused(table: JobTable, queue: object) -> None:
        for name, known in list(table.queues.items()):
            if known is queue:
                del table.queues[name]

    patch.setattr(JobTable, "forget_unused", forget_unused)


def pauses_meet_the_bounds_of_pushes(patch: Patch) -> None:
    def admit_queue(table: JobTable, queue: str) -> None:
        del queue
        admission.refuse_jobs(table.options, held=len(table.jobs), new=0)

    patch.setattr("magicqueue_cores.python_core.admit_queue", admit_queue)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    texts_are_not_counted,
    old_texts_stay_counted,
    heavy_jobs_are_not_counted_on,
    failures_of_heavy_jobs_are_losses,
    sizes_of_letters_are_those_of_payloads,
    totals_go_with_their_queue,
    pauses_meet_the_bounds_of_pushes,
)


def detections() -> Iterator[str]:
    for name in CORES:
        require_core(name)
        for detector in DETECTORS:
            try:
                detector(name)
            except (AssertionError, CoreError, KeyError, pytest.fail.Exception) as caught:
                yield f"{detector.__name__}: {caught}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert next(detections(), None) is not None, "nobody noticed"


def test_without_a_fault_nothing_is_found() -> None:
    assert list(detections()) == []
