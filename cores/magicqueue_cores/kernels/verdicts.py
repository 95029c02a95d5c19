"""Verdicts in request lines: ACK, FAIL and HEARTBEAT, of one job and of many.

A function gives the place behind its reply, or -1: then nothing has changed and the line
is not for the kernels. With a sink for records each change is also noted as an event.
"""
# ruff: noqa: FBT003 - parts take no keywords

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.backoff import retry_at
from magicqueue_cores.kernels.fields import decline
from magicqueue_cores.kernels.index import find_job
from magicqueue_cores.kernels.jit import Words, inlined, part
from magicqueue_cores.kernels.jobs import (
    dies_of_failure,
    find_for_verdict,
    finish,
    finish_returned,
    is_heavy,
    note,
    queue_of,
    state_of,
)
from magicqueue_cores.kernels.reply import (
    end_reply,
    write_acked,
    write_counted,
    write_ok,
    write_state,
)
from magicqueue_cores.kernels.returning import retry
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import hold, let_go, open_lease

_REPLY_BYTES: Final = 128


@inlined
def begin_event(w: Words, kind: int, count: int, one: int, two: int) -> int:
    """Begin an event; gives the place of its list."""
    at = lo.EVENTS_W + w[lo.S_EVENTS]
    w[at] = kind
    w[at + 1] = count
    w[at + 2] = one
    w[at + 3] = two
    w[at + 4] = w[lo.R_NOW]
    return at + lo.E_HEADER_WORDS


@part
def _note_room(w: Words, queue: int) -> None:
    """Tell Python that somebody may have waited for a job to leave a queue."""
    if w[lo.S_WOKEN] != queue:
        w[lo.S_WOKEN] = queue
        note(w, queue, lo.NOTE_ROOM, 0)


@inlined
def settle(w: Words, h: Words, slot: int) -> None:
    """A job that a verdict was found for is settled."""
    queue = queue_of(h, slot)
    if w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_WATCHED] > lo.RULED:
        _note_room(w, queue)
    if state_of(h, slot) == lo.ACTIVE:
        finish(w, h, slot)
    else:
        finish_returned(w, h, slot)


@inlined
def _settle_by_line(w: Words, h: Words, slot: int, job_id: int) -> None:
    """Settle a job, and tell Python of it if it is marked."""
    if half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) & lo.META_MARKED != 0:
        note(w, job_id, lo.NOTE_ACKED, 0)
    settle(w, h, slot)


@part
def ack(w: Words, h: Words, b: Words, o: int) -> int:
    """ACK of a job that is there."""
    job_id = w[lo.R_ITEM + lo.I_ID]
    slot = find_for_verdict(w, h, job_id, w[lo.R_ITEM + lo.I_ATTEMPT], True)
    if slot == 0:
        return decline(w, lo.D_ERROR)
    _settle_by_line(w, h, slot, job_id)
    if w[lo.S_RECORDING] != 0:
        at = begin_event(w, lo.E_ACKED, 1, 0, 0)
        w[at] = job_id
        w[lo.S_EVENTS] = at + 1 - lo.EVENTS_W
    return end_reply(w, b, write_ok(b, o))


@inlined
def _missing_at(w: Words) -> int:
    """Where the ids that could not be done are collected."""
    return lo.SCRATCH_W + w[lo.R_ITEMS] * lo.ITEM_WORDS


@inlined
def _reply_fits(w: Words, o: int) -> bool:
    """Whether a reply that names all items as missing has room."""
    return o - lo.OUTPUT_B + w[lo.R_ITEMS] * 18 + _REPLY_BYTES < lo.OUTPUT_BYTES_MAX


@part
def ack_batch(w: Words, h: Words, b: Words, o: int) -> int:
    """ACKB."""
    if not _reply_fits(w, o):
        return decline(w, lo.D_LARGE)
    missing_at = _missing_at(w)
    missing = 0
    recording = w[lo.S_RECORDING] != 0
    at = begin_event(w, lo.E_ACKED, 0, 0, 0)
    done = 0
    for k in range(w[lo.R_ITEMS]):
        item = lo.SCRATCH_W + k * lo.ITEM_WORDS
        job_id = w[item + lo.I_ID]
        slot = find_for_verdict(w, h, job_id, w[item + lo.I_ATTEMPT], True)
        if slot == 0:
            w[missing_at + missing] = job_id
            missing += 1
            continue
        _settle_by_line(w, h, slot, job_id)
        if recording:
            w[at + done] = job_id
        done += 1
    if recording and done > 0:
        w[at - lo.E_HEADER_WORDS + 1] = done
        w[lo.S_EVENTS] = at + done - lo.EVENTS_W
    return end_reply(w, b, write_acked(w, b, o, done, missing_at, missing))


@part
def _may_fail(w: Words, h: Words, item: int) -> bool:
    """Whether a failure is plain: it kills no job, wakes nobody, and Python does not count.

    Nor is the job marked. A missing job is plain too.
    """
    slot = find_for_verdict(w, h, w[item + lo.I_ID], w[item + lo.I_ATTEMPT], False)
    if slot == 0:
        return True
    at = lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS
    if half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) & lo.META_MARKED != 0:
        w[lo.S_WHY] = lo.D_MARKED
    elif w[at + lo.Q_WATCHED] & lo.WATCHED != 0:
        w[lo.S_WHY] = lo.D_WATCHED
    elif dies_of_failure(w, h, slot):
        w[lo.S_WHY] = lo.D_DEATH
    else:
        return not is_heavy(w, h, slot)
    return False


@part
def _fail_item(w: Words, h: Words, item: int) -> int:
    """Fail one job; gives when it runs again, or -1 if it is missing."""
    job_id = w[item + lo.I_ID]
    slot = find_for_verdict(w, h, job_id, w[item + lo.I_ATTEMPT], False)
    if slot == 0:
        return -1
    run_at = retry_at(w, h, slot, w[lo.R_NOW])
    retry(w, h, slot, run_at, w[lo.R_NOW])
    error = w[item + lo.I_ERROR]
    meta = lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META
    if w[lo.S_LISTENED] != 0:
        note(w, job_id, lo.NOTE_HEARD, queue_of(h, slot))
    if error != lo.NOTE_NO_ERROR or half(h, meta) & lo.META_NOTED != 0:
        h[meta] = half(h, meta) | lo.META_NOTED
        note(w, job_id, error, w[item + lo.I_ERROR_BYTES])
        if error != lo.NOTE_NO_ERROR:
            w[lo.S_KEPT_BYTES] += w[item + lo.I_ERROR_BYTES]
    return run_at


@inlined
def _failed_row(w: Words, at: int, item: int, run_at: int) -> None:
    w[at] = w[item + lo.I_ID]
    w[at + 1] = run_at
    w[at + 2] = w[item + lo.I_ERROR]
    w[at + 3] = w[item + lo.I_ERROR_BYTES]


@part
def fail(w: Words, h: Words, b: Words, o: int) -> int:
    """FAIL of a job that is there and will be tried again."""
    item = lo.R_ITEM
    if not _may_fail(w, h, item):
        return -1
    run_at = _fail_item(w, h, item)
    if run_at < 0:
        return decline(w, lo.D_ERROR)
    if w[lo.S_RECORDING] != 0:
        at = begin_event(w, lo.E_FAILED, 1, 0, 0)
        _failed_row(w, at, item, run_at)
        w[lo.S_EVENTS] = at + lo.E_FAILED_WORDS - lo.EVENTS_W
    return end_reply(w, b, write_state(b, o, run_at <= w[lo.R_NOW]))


@part
def fail_batch(w: Words, h: Words, b: Words, o: int) -> int:
    """FAILB, if all will be tried again."""
    count = w[lo.R_ITEMS]
    for k in range(count):
        if not _may_fail(w, h, lo.SCRATCH_W + k * lo.ITEM_WORDS):
            return -1
    if not _reply_fits(w, o):
        return decline(w, lo.D_LARGE)
    missing_at = _missing_at(w)
    missing = 0
    at = begin_event(w, lo.E_FAILED, 0, 0, 0)
    for k in range(count):
        item = lo.SCRATCH_W + k * lo.ITEM_WORDS
        run_at = _fail_item(w, h, item)
        if run_at < 0:
            w[missing_at + missing] = w[item + lo.I_ID]
            missing += 1
        elif w[lo.S_RECORDING] != 0:
            _failed_row(w, at + lo.E_FAILED_WORDS * (k - missing), item, run_at)
    done = count - missing
    if w[lo.S_RECORDING] != 0 and done > 0:
        w[at - lo.E_HEADER_WORDS + 1] = done
        w[lo.S_EVENTS] = at + lo.E_FAILED_WORDS * done - lo.EVENTS_W
    return end_reply(w, b, write_counted(w, b, o, done, missing_at, missing))


@part
def extend_lease(w: Words, h: Words, slot: int, lease: int, until: int) -> int:
    """Let an active job's lease end at `until`; gives the lease it is under now.

    lease: one that was made for the same batch, for if it suits, or 0.
    """
    held = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_LEASE)
    at = lo.LEASES_W + held * lo.LEASE_WORDS
    if w[at + lo.G_UNTIL] == until:
        return lease
    session = w[at + lo.G_SESSION]
    if lease == 0 or w[lo.LEASES_W + lease * lo.LEASE_WORDS + lo.G_SESSION] != session:
        lease = open_lease(w, session, until)
    let_go(w, h, slot)
    hold(w, h, lease, slot)
    return lease


@part
def _is_any_marked(w: Words, h: Words) -> bool:
    """Whether a scratch item is about a marked job."""
    for k in range(w[lo.R_ITEMS]):
        slot = find_job(w, h, w[lo.SCRATCH_W + k * lo.ITEM_WORDS + lo.I_ID])
        if half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) & lo.META_MARKED != 0:
            return True
    return False


@part
def heartbeat(w: Words, h: Words, b: Words, o: int) -> int:
    """HEARTBEAT of the scratch items, if none is about a marked job."""
    if w[lo.S_MARKED] != 0 and _is_any_marked(w, h):
        return decline(w, lo.D_MARKED)
    if not _reply_fits(w, o):
        return decline(w, lo.D_LARGE)
    missing_at = _missing_at(w)
    missing = 0
    lease = 0
    until = min(w[lo.R_NOW] + w[lo.R_LEASE_MS], lo.TIME_MAX_MS)
    at = begin_event(w, lo.E_EXTENDED, 0, until, 0)
    for k in range(w[lo.R_ITEMS]):
        item = lo.SCRATCH_W + k * lo.ITEM_WORDS
        job_id = w[item + lo.I_ID]
        slot = find_for_verdict(w, h, job_id, w[item + lo.I_ATTEMPT], False)
        if slot == 0:
            w[missing_at + missing] = job_id
            missing += 1
            continue
        lease = extend_lease(w, h, slot, lease, until)
        if w[lo.S_RECORDING] != 0:
            w[at + k - missing] = job_id
    done = w[lo.R_ITEMS] - missing
    if w[lo.S_RECORDING] != 0 and done > 0:
        w[at - lo.E_HEADER_WORDS + 1] = done
        w[lo.S_EVENTS] = at + done - lo.EVENTS_W
    return end_reply(w, b, write_counted(w, b, o, done, missing_at, missing))


@part
def single_heartbeat(w: Words, h: Words, b: Words, o: int) -> int:
    """HEARTBEAT of the one id."""
    for k in range(lo.ITEM_WORDS):
        w[lo.SCRATCH_W + k] = w[lo.R_ITEM + k]
    w[lo.R_ITEMS] = 1
    return heartbeat(w, h, b, o)
