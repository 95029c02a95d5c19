"""Whether new jobs may come in, and the queue that they go to."""

from collections.abc import Sequence

from magicqueue_cores.admission import refuse_bytes, refuse_jobs, refuse_queues
from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import JOB_OVERHEAD_BYTES, Store
from magicqueue_cores.array_core.views import memory_bytes
from magicqueue_cores.contract import Full
from magicqueue_cores.kernels import layout as lo


def admit(store: Store, name: str, payloads: Sequence[bytes]) -> Queue:
    """Give the queue that new jobs may go to, made if it is new; raises `Full`."""
    options, state, count = store.options, store.memory.state, len(payloads)
    if options.jobs_max:
        refuse_jobs(options, held=state[lo.S_LIVE], new=count)
    if options.memory_bytes_max:
        more = sum(map(len, payloads)) + count * JOB_OVERHEAD_BYTES
        refuse_bytes(options, held=memory_bytes(store), new=more)
        state[lo.S_KEPT_BYTES] = store.kept_bytes()
    return admit_queue(store, name)


def refuse_larger(store: Store, more: int) -> None:
    """Raise `Full` if a job may not take so many bytes more."""
    options = store.options
    if more > 0 and options.memory_bytes_max:
        refuse_bytes(options, held=memory_bytes(store), new=more)


def admit_queue(store: Store, name: str) -> Queue:
    """Give the queue, made if it is new; raises `Full`."""
    known = store.queues.by_name.get(name)
    if known is not None:
        return known
    refuse_queue(store, name)
    return store.queues.of(name)


def refuse_queue(store: Store, name: str) -> None:
    """Raise `Full` if a queue of this name would be one too many."""
    options, queues = store.options, store.queues
    if name in queues.by_name:
        return
    if options.queues_max and len(queues.by_name) >= options.queues_max:
        queues.forget_idle()
        refuse_queues(options, held=len(queues.by_name), name=name)
    if len(queues.by_name) >= lo.QUEUES_MAX:
        raise Full(f"the array core holds at most {lo.QUEUES_MAX:,} queues")
