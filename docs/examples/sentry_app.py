"""Sentry: an event for each failed attempt, with its task, queue and job.

SENTRY_DSN=… magicqueue worker sentry_app:tasks
"""

import os
from typing import Any

import sentry_sdk

from magicqueue import Cancelled, Discard, Middleware, Retry, Run, Tasks, Throttle

sentry_sdk.init(os.environ.get("SENTRY_DSN"))


class Sentry(Middleware):
    """Tells Sentry of runs: each has a scope of its own, named after the task."""

    def before(self, run: Run) -> None:
        scope = run.notes["scope"] = sentry_sdk.isolation_scope()
        inner = scope.__enter__()
        inner.set_transaction_name(run.task)
        inner.set_tag("queue", run.job.queue)
        inner.set_context("job", {"id": run.job.id, "attempt": run.job.attempts})

    def after(self, run: Run, result: Any) -> None:
        del result
        self._leave(run)

    def error(self, run: Run, error: BaseException) -> None:
        meant = isinstance(error, Retry | Discard | Throttle | Cancelled)
        if isinstance(error, Exception) and not meant:
            sentry_sdk.capture_exception(error)
        self._leave(run)

    def _leave(self, run: Run) -> None:
        scope = run.notes.pop("scope", None)
        if scope is not None:
            scope.__exit__(None, None, None)


tasks = Tasks("payments", middleware=[Sentry()])


@tasks.task(max_attempts=1)
async def charge(cents: int) -> None:
    raise ConnectionError(f"the bank does not answer about {cents} cents")
