"""The whole state of jobs of the array core: told for a log, and put back from one."""

from array import array
from collections.abc import Sequence
from typing import Any

from magicqueue_cores import records
from magicqueue_cores.array_core.store import Death, Store
from magicqueue_cores.contract import CoreError, JobState
from magicqueue_cores.kernels import layout as lo


def export_jobs(store: Store, ids: Sequence[int]) -> records.Moved:
    """Tell all about those of `ids` that are here. O(1) a job."""
    count = len(ids)
    words = store.memory.words
    words[lo.SCRATCH_W : lo.SCRATCH_W + count] = array("q", ids)
    slots = store.scratch_list(store.act(lo.V_FIND_MANY, count))
    views = [store.view(slot) for slot in slots]
    places, sessions, backoffs, jitters, returned = [], [], [], [], []
    for slot, view in zip(slots, views, strict=True):
        meta = store.field(slot, lo.JH_META)
        places.append(
            0 if view.state is JobState.DELAYED else store.word(slot, lo.J_SEQUENCE)
        )
        sessions.append(_session(store, slot) if view.state is JobState.ACTIVE else 0)
        backoffs.append(store.header(slot, lo.B_BACKOFF) & 0xFFFFFFFF)
        jitters.append(bool(meta & lo.META_JITTER))
        returned.append(bool(meta & lo.META_RETURNED))
    return records.Moved(
        ids=[view.id for view in views],
        queues=[view.queue for view in views],
        payloads=[view.payload for view in views],
        priorities=[view.priority for view in views],
        created_ats_ms=[view.created_at_ms for view in views],
        run_ats_ms=[view.run_at_ms for view in views],
        max_attempts=[view.max_attempts for view in views],
        backoffs_ms=backoffs,
        jitters=jitters,
        states=[int(view.state) for view in views],
        returned=returned,
        sequences=places,
        attempts=[view.attempts for view in views],
        failures=[view.failures for view in views],
        losses=[view.lost for view in views],
        sessions=sessions,
        untils_ms=[view.lease_until_ms or 0 for view in views],
        died_ats_ms=[view.died_at_ms or 0 for view in views],
        errors=[view.error for view in views],
        reasons=[view.reason for view in views],
    )


def replay_moved(store: Store, record: records.Moved) -> None:
    """Put jobs back. Raises `CoreError` if one is here already or was never pushed."""
    leases: dict[tuple[int, int], int] = {}
    dead: dict[str, dict[int, int]] = {}
    for row, job_id in enumerate(record.ids):
        if store.find(job_id) or not 0 < job_id < store.memory.state[lo.S_NEXT_ID]:
            raise CoreError(f"a record brings back job {job_id}, which cannot be missing")
        state = JobState(record.states[row])
        slot = _restore(store, record, row, state)
        if record.errors[row] is not None:
            store.set_error(job_id, slot, record.errors[row])
        if state is JobState.ACTIVE:
            held_by = record.sessions[row], record.untils_ms[row]
            if held_by not in leases:
                session = store.session(held_by[0])
                leases[held_by] = store.act(lo.V_OPEN_LEASE, session, held_by[1])
            store.act(lo.V_LEND, slot, leases[held_by])
        elif state is JobState.DEAD:
            store.mark(slot, lo.META_NOTED)
            store.deaths[job_id] = Death(
                record.reasons[row] or "failed", record.died_ats_ms[row]
            )
            letters = dead.setdefault(record.queues[row], {})
            letters[job_id] = len(record.payloads[row])
    for name, sizes in dead.items():
        store.queues.of(name).dead.put_in(
            sizes, lambda job_id: store.word(store.find(job_id), lo.J_SEQUENCE)
        )


def _restore(store: Store, record: records.Moved, row: int, state: JobState) -> int:
    queue = store.queues.of(record.queues[row])
    payload: Any = record.payloads[row]
    large = len(payload) > lo.PAYLOAD_BYTES_MAX
    store.write_row(
        b"" if large else payload,
        priority=record.priorities[row],
        run_at_ms=record.run_ats_ms[row],
        max_attempts=record.max_attempts[row],
        backoff_ms=record.backoffs_ms[row],
        jitter=record.jitters[row],
    )
    scratch, more = store.memory.scratch, lo.ROW_WORDS
    job_id = record.ids[row]
    scratch[more] = job_id
    scratch[more + 1] = record.created_ats_ms[row]
    scratch[more + 2] = record.attempts[row] - (state is JobState.ACTIVE)
    scratch[more + 3] = min(record.losses[row], lo.LOST_MAX)
    flags = int(state)
    if state is JobState.READY:
        flags |= lo.META_RETURNED if record.returned[row] else lo.META_MOVED
    with store.unbounded():
        slot = store.act(lo.V_RESTORE, queue.number, flags, record.sequences[row])
    if slot < 0:
        raise CoreError("the array core's tables cannot hold more jobs")
    store.keep_max_attempts(job_id, record.max_attempts[row])
    if large:
        store.keep_large(queue, job_id, payload)
    return slot


def _session(store: Store, slot: int) -> int:
    lease = store.field(slot, lo.JH_LEASE)
    words = store.memory.words
    index = int(words[lo.LEASES_W + lease * lo.LEASE_WORDS + lo.G_SESSION])
    return int(words[lo.SESSIONS_W + index * lo.SESSION_WORDS + lo.N_NUMBER])
