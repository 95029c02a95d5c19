"""Records applied to the array core: checked, never re-decided."""

from typing import Any

from magicqueue_cores import records
from magicqueue_cores.array_core import outcomes
from magicqueue_cores.array_core.moves import replay_moved
from magicqueue_cores.array_core.rows import push, replace
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import LIVE, WAITING, CoreError, JobState
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.transitions import REMOVABLE, not_for_a_core


def replay_record(  # noqa: C901, PLR0912, PLR0915 - one flat case a record
    store: Store, record: records.Record
) -> None:
    """Apply one record. Raises `CoreError` if it cannot have happened here."""
    match record:
        case records.Pushed():
            _push(store, record)
        case records.Matured():
            _expect(store, record, JobState.DELAYED)
            store.act(lo.V_TAKE_DELAYED_MANY, len(record.ids))
        case records.Leased():
            _lease(store, record)
        case records.Extended(ids, until_ms):
            _expect(store, record, JobState.ACTIVE)
            store.judged(lo.V_HEARTBEAT, ids, None, until_ms)
        case records.Postponed(by_ms):
            store.act(lo.V_POSTPONE, by_ms)
        case records.Acked():
            _ack(store, record)
        case records.Failed(ids, errors, run_ats_ms, at_ms):
            _expect(store, record, JobState.ACTIVE)
            outcomes.retry(store, ids, errors, run_ats_ms, at_ms)
        case records.Lost(ids):
            _expect(store, record, JobState.ACTIVE)
            outcomes.lose(store, ids, lost_max=0)
        case records.Released(ids, run_at_ms):
            _expect(store, record, JobState.ACTIVE)
            outcomes.release(store, ids, run_at_ms)
        case records.Died(ids, reason, errors, at_ms):
            counts = reason in outcomes.VERB_OF_REASON
            _expect(store, record, *((JobState.ACTIVE,) if counts else LIVE))
            outcomes.bury(store, ids, reason, errors, at_ms)
        case records.Removed():
            _remove(store, record)
        case records.Revived(ids, at_ms):
            _expect(store, record, JobState.DEAD)
            outcomes.revive(store, ids, at_ms)
        case records.Promoted(ids, at_ms):
            _expect(store, record, JobState.DELAYED)
            outcomes.promote(store, ids, at_ms)
        case records.Replaced():
            _replace(store, record)
        case records.Held(ids):
            _expect(store, record, JobState.READY)
            outcomes.hold(store, ids)
        case records.Unheld(ids, run_ats_ms, at_ms):
            _expect(store, record, JobState.HELD)
            outcomes.unhold(store, ids, run_ats_ms, at_ms)
        case records.Paused():
            _pause(store, record)
        case records.Moved():
            replay_moved(store, record)
        case records.Origin(last_id, sequence):
            state = store.memory.state
            state[lo.S_NEXT_ID] = max(state[lo.S_NEXT_ID], last_id + 1)
            state[lo.S_SEQUENCE] = max(state[lo.S_SEQUENCE], sequence)
        case records.Restarted():
            store.queues.count_from_here()
        case records.Marked() | records.Kept() | records.Gone():
            raise not_for_a_core(record)


def _pause(store: Store, record: records.Paused) -> None:
    known = store.queues.of(record.queue)
    store.queues.set_paused(known, paused=record.paused)
    if not record.paused:
        store.queues.forget_unused(known)


def _push(store: Store, record: records.Pushed) -> None:
    state, queues = store.memory.state, store.queues
    if record.first_id < state[lo.S_NEXT_ID]:
        raise CoreError(
            f"a record pushes job {record.first_id}, but ids up to "
            f"{state[lo.S_NEXT_ID] - 1} were given before it"
        )
    bound = store.options.queues_max
    if bound and len(queues.by_name) >= bound and record.queue not in queues.by_name:
        queues.forget_idle()
    with store.unbounded():
        state[lo.S_NEXT_ID] = record.first_id
        push(store, queues.of(record.queue), record, record.created_at_ms)


def _lease(store: Store, record: records.Leased) -> None:
    _expect(store, record, JobState.READY, JobState.HELD)
    session = store.session(record.session)
    wrong = store.act(lo.V_LEASE_MANY, len(record.ids), session, record.until_ms)
    if wrong:
        what = "jobs of several queues" if wrong == 1 else "ready and held jobs"
        raise CoreError(f"a record leases {what} to one pull")


def _ack(store: Store, record: records.Acked) -> None:
    _expect(store, record, JobState.ACTIVE, JobState.READY, JobState.HELD)
    wrong = store.act(lo.V_SETTLE_MANY, len(record.ids))
    if wrong:
        job_id = record.ids[wrong - 1]
        raise CoreError(f"a record settles job {job_id}, which was not handed out")


def _remove(store: Store, record: records.Removed) -> None:
    states = REMOVABLE.get(record.cause)
    if states is None:
        raise CoreError(f"a record says Removed for {record.cause!r}, which is no cause")
    _expect(store, record, *states)
    if record.cause != "drained":
        outcomes.remove(store, record.ids, record.cause)
        return
    slots = store.scratch_list(len(record.ids))
    queues = {known.name: known for known in map(store.queue_of, slots)}
    store.write_ids(slots)
    store.act(lo.V_TAKE_WAITING_MANY, len(slots))
    for known in queues.values():
        store.queues.forget_unused(known)


def _replace(store: Store, record: records.Replaced) -> None:
    _expect(store, record, *WAITING)
    rows = zip(
        record.ids, record.payloads, record.priorities, record.run_ats_ms, strict=True
    )
    for job_id, payload, priority, run_at_ms in rows:
        replace(store, job_id, payload, priority, run_at_ms, record.at_ms)


def _expect(store: Store, record: Any, *states: JobState) -> None:
    """Put the records of the jobs that `record` names, all in these states, in scratch."""
    ids = record.ids
    fit = sum(1 << state for state in states)
    store.write_ids(ids)
    wrong = store.act(lo.V_EXPECT_MANY, len(ids), fit)
    if not wrong:
        return
    job_id, what = ids[wrong - 1], type(record).__name__
    slot = store.find(job_id)
    state = store.state_of(slot) if slot else None
    if state in states:
        raise CoreError(f"a record says {what} of job {job_id} twice")
    where = "not here" if state is None else state.name
    raise CoreError(f"a record says {what} of job {job_id}, which is {where}")
