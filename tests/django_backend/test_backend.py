"""Django's documented contract of a task backend, against a server in memory."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from magicqueue import Job
from magicqueue_server.testing import InMemory


@pytest.fixture
def shop(magicqueue: InMemory) -> Iterator[Any]:  # noqa: ARG001 - it is first
    """The example's tasks; its backend is connected anew."""
    from shop import tasks

    from magicqueue.django.framework import task_backends

    task_backends["default"].close()
    yield tasks
    task_backends["default"].close()


def run_all(magicqueue: InMemory) -> None:
    from magicqueue.django.running import run

    async def in_a_thread(job: Job) -> Any:  # as workers run it
        return await asyncio.to_thread(run, job)

    magicqueue.run_all_sync({"default": in_a_thread, "mail": in_a_thread}, raises=False)


def test_what_the_backend_says_it_can() -> None:
    from magicqueue.django.framework import task_backends

    backend = task_backends["default"]
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority
    assert backend.check() == []


def test_a_result_follows_its_task(magicqueue: InMemory, shop: Any) -> None:
    enqueued = shop.count.enqueue([1, 2, 3])
    assert enqueued.status == "READY"
    assert enqueued.attempts == 0
    assert enqueued.args == [[1, 2, 3]]
    with pytest.raises(ValueError, match="not finished"):
        _ = enqueued.return_value
    run_all(magicqueue)
    enqueued.refresh()
    assert enqueued.status == "SUCCESSFUL"
    assert enqueued.is_finished
    assert enqueued.return_value == 6
    assert enqueued.attempts == 1
    assert enqueued.errors == []
    assert enqueued.enqueued_at <= enqueued.started_at
    again = shop.count.get_result(enqueued.id)
    assert again.task.func is shop.count.func
    assert again.return_value == 6


def test_it_is_enqueued_once_the_transaction_is_over(
    magicqueue: InMemory, shop: Any
) -> None:
    from django.db import transaction

    with transaction.atomic():
        made = shop.order("ada@example.org")
        assert magicqueue.pushed() == []
    assert [job.data["args"] for job in magicqueue.pushed("mail")] == [[made.pk]]
    run_all(magicqueue)
    made.refresh_from_db()
    assert made.confirmed


def test_it_is_not_enqueued_if_the_transaction_is_undone(
    magicqueue: InMemory, shop: Any
) -> None:
    from django.db import transaction

    with pytest.raises(KeyError), transaction.atomic():
        shop.order("ada@example.org")
        raise KeyError
    assert magicqueue.pushed() == []


def test_a_failure_is_tried_again_and_then_told(magicqueue: InMemory, shop: Any) -> None:
    good, bad = shop.charge.enqueue(7), shop.charge.enqueue(cents=-7)
    run_all(magicqueue)
    good.refresh()
    assert good.status == "READY"
    for _ in range(2):
        magicqueue.advance(timedelta(seconds=1))
        run_all(magicqueue)
    good.refresh()
    bad.refresh()
    assert (good.status, good.return_value, good.attempts) == ("SUCCESSFUL", 7, 3)
    assert (bad.status, bad.attempts) == ("FAILED", 3)
    assert bad.kwargs == {"cents": -7}
    with pytest.raises(ValueError, match="failed"):
        _ = bad.return_value
    (error,) = bad.errors
    assert error.exception_class is shop.Declined
    assert "in charge" in error.traceback
    assert "-7 cents at attempt 3" in error.traceback


def test_run_after_and_priority(magicqueue: InMemory, shop: Any) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    shop.count.using(run_after=later, priority=-5).enqueue([1])
    (pushed,) = magicqueue.pushed("default")
    assert pushed.options["run_at"] == round(later.timestamp() * 1000)
    assert pushed.options["priority"] == -5


def test_what_is_refused(magicqueue: InMemory, shop: Any) -> None:
    from magicqueue.django.framework import exceptions

    for wrong in (
        {"priority": 101},
        {"queue_name": "nowhere"},
        {"run_after": datetime(2030, 1, 1)},  # noqa: DTZ001 - that is what is wrong
    ):
        with pytest.raises(exceptions.TaskException):
            shop.count.using(**wrong)
    for unknown in ("7", "x", ""):
        with pytest.raises(exceptions.TaskResultDoesNotExist):
            shop.count.get_result(unknown)
    enqueued = shop.charge.enqueue(1)
    with pytest.raises(exceptions.TaskResultMismatch):
        shop.count.get_result(enqueued.id)
    with pytest.raises(TypeError):
        shop.count.enqueue({1, 2})
    assert len(magicqueue.pushed()) == 1


def test_signals_are_sent(magicqueue: InMemory, shop: Any) -> None:
    from magicqueue.django.framework import signals

    seen: list[tuple[str, str]] = []

    def note(signal: Any, task_result: Any, **_: Any) -> None:
        name = next(n for n in dir(signals) if getattr(signals, n) is signal)
        seen.append((name, str(task_result.status)))

    every = (signals.task_enqueued, signals.task_started, signals.task_finished)
    for signal in every:
        signal.connect(note)
    try:
        shop.count.enqueue([1])
        run_all(magicqueue)
    finally:
        for signal in every:
            signal.disconnect(note)
    assert seen == [
        ("task_enqueued", "READY"),
        ("task_started", "RUNNING"),
        ("task_finished", "SUCCESSFUL"),
    ]


def test_settings_that_are_wrong_are_told() -> None:
    from magicqueue.django import MagicQueueBackend

    wrong = MagicQueueBackend("other", {"OPTIONS": {"URLS": "x", "URL": "http://x"}})
    assert [problem.id for problem in wrong.check()] == [
        "magicqueue.E001",
        "magicqueue.E002",
    ]
