"""How the jobs of a batch are tried again: one policy object for all that are alike."""

from collections.abc import Callable, Iterable
from itertools import repeat

from magicqueue_cores.contract import NewJobs
from magicqueue_cores.python_job import RetryPolicy
from magicqueue_cores.records import Pushed


def policies_of(
    batch: NewJobs | Pushed, ahead: int, shared: Callable[[RetryPolicy], RetryPolicy]
) -> Iterable[RetryPolicy]:
    """Give the policy of each job of a batch.

    ahead: sequence number of a plain job minus its id. shared: gives the
    object for a policy that the batch before may have had, too.
    """
    most, backoff, jitter = batch.max_attempts, batch.backoffs_ms, batch.jitters
    if isinstance(most, int) and isinstance(backoff, int) and isinstance(jitter, int):
        return repeat(shared((most, backoff, jitter, ahead)))
    count = len(batch.payloads)
    columns = [
        [column] * count if isinstance(column, int) else column
        for column in (most, backoff, jitter, ahead)
    ]
    alike: dict[RetryPolicy, RetryPolicy] = {}
    return [alike.setdefault(policy, policy) for policy in zip(*columns, strict=True)]
