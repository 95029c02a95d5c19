"""Jobs that a pull takes: by a kernel, or one by one if some are not in the arena."""

from collections.abc import Sequence

from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import JobState
from magicqueue_cores.kernels import layout as lo


def take(
    store: Store, source: Queue, count: int, payload_bytes_max: int, session: int
) -> list[int]:
    """Lend ready jobs in order, until the A_UNTIL of the state; gives their records."""
    memory = store.memory
    memory.state[lo.A_BYTES_MAX] = payload_bytes_max
    if not memory.words[source.at + lo.Q_LARGE]:
        return store.scratch_list(store.act(lo.V_PULL, source.number, count, session))
    slots = list[int]()
    while len(slots) < count:
        first = store.act(lo.V_FIRST, source.number)
        if not first:
            break
        payload_bytes_max -= len(store.payload(first))
        if payload_bytes_max < 0 and slots:
            break
        store.act(lo.V_PULL, source.number, 1, session)
        slots.append(first)
    return slots


def take_held(
    store: Store, source: Queue, ids: Sequence[int], payload_bytes_max: int, session: int
) -> list[int]:
    """Lend held jobs in the order given, as `take`; gives their records."""
    memory = store.memory
    memory.state[lo.A_BYTES_MAX] = payload_bytes_max
    if not memory.words[source.at + lo.Q_LARGE]:
        store.write_ids(ids)
        taken = store.act(lo.V_TAKE_HELD, source.number, len(ids), session)
        return store.scratch_list(taken)
    slots = list[int]()
    for job_id in ids:
        slot = store.find(job_id)
        if not slot or store.state_of(slot) is not JobState.HELD:
            continue
        payload_bytes_max -= len(store.payload(slot))
        if payload_bytes_max < 0 and slots:
            break
        memory.scratch[0] = job_id
        slots += [slot] * store.act(lo.V_TAKE_HELD, source.number, 1, session)
    return slots
