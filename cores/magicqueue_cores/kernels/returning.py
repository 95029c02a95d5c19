"""Jobs that were handed out and come back, or that die: failed, lost, given back, revived.

A function gets record numbers of jobs that are in the state it needs, as in `jobs`.
"""
# ruff: noqa: FBT001 - parts take no keywords

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import Words, part
from magicqueue_cores.kernels.jobs import (
    block_of,
    lost_of,
    note_if_heavy,
    payload_bytes_of,
    queue_of,
    set_state,
)
from magicqueue_cores.kernels.ready import append_ready, give_back
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import add_delayed, let_go


@part
def retry(w: Words, h: Words, slot: int, run_at: int, now: int) -> None:
    """An active job failed and is due again at `run_at`."""
    queue = queue_of(h, slot)
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    let_go(w, h, slot)
    w[at + lo.Q_PROCESSING] -= 1
    w[lo.S_PROCESSING] -= 1
    w[at + lo.Q_FAILED] += 1
    w[lo.S_FAILED] += 1
    note_if_heavy(w, h, slot, lo.NOTE_FAILED)
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] = run_at
    if run_at <= now:
        set_state(h, slot, lo.READY)
        priority = half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_PRIORITY)
        append_ready(w, h, queue, slot, priority)
    else:
        set_state(h, slot, lo.DELAYED)
        add_delayed(w, run_at, w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID])
        w[at + lo.Q_DELAYED] += 1


@part
def _come_back(w: Words, h: Words, slot: int) -> None:
    """A job is ready again at its old place, or held again if it has none."""
    queue = queue_of(h, slot)
    if w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE] == 0:
        set_state(h, slot, lo.HELD | lo.META_RETURNED)
        w[lo.QUEUES_W + queue * lo.QUEUE_WORDS + lo.Q_HELD] += 1
        w[lo.S_HELD] += 1
        return
    set_state(h, slot, lo.READY | lo.META_RETURNED)
    give_back(w, h, queue, slot)


@part
def lose(w: Words, h: Words, slot: int, dies: bool) -> None:
    """An active job's worker is gone: it is back at its old place, or dead."""
    queue = queue_of(h, slot)
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    let_go(w, h, slot)
    w[at + lo.Q_PROCESSING] -= 1
    w[lo.S_PROCESSING] -= 1
    w[at + lo.Q_LOST] += 1
    w[lo.S_LOST] += 1
    if lost_of(w, h, slot) < lo.LOST_MAX:
        h[lo.ARENA_H + 2 * block_of(w, slot) + lo.B_SIZES] += 1 << lo.B_LOST_SHIFT
    note_if_heavy(w, h, slot, lo.NOTE_LOST)
    if dies:
        bury(w, h, slot)
        return
    _come_back(w, h, slot)


@part
def release(w: Words, h: Words, slot: int, run_at: int) -> None:
    """An active job is given back: to its old place, or (if not 0) until `run_at`."""
    queue = queue_of(h, slot)
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    let_go(w, h, slot)
    w[at + lo.Q_PROCESSING] -= 1
    w[lo.S_PROCESSING] -= 1
    if run_at == 0:
        _come_back(w, h, slot)
    else:
        w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] = run_at
        set_state(h, slot, lo.DELAYED)
        add_delayed(w, run_at, w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID])
        w[at + lo.Q_DELAYED] += 1


@part
def bury(w: Words, h: Words, slot: int) -> None:
    """A job that no order holds any more is dead."""
    set_state(h, slot, lo.DEAD | lo.META_NOTED)
    w[lo.S_LIVE] -= 1
    w[lo.S_DEAD] += 1
    w[lo.S_SEQUENCE] += 1
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_SEQUENCE] = w[lo.S_SEQUENCE]


@part
def fail_for_good(w: Words, h: Words, slot: int) -> None:
    """An active job failed for the last time."""
    at = lo.QUEUES_W + queue_of(h, slot) * lo.QUEUE_WORDS
    let_go(w, h, slot)
    w[at + lo.Q_PROCESSING] -= 1
    w[lo.S_PROCESSING] -= 1
    w[at + lo.Q_FAILED] += 1
    w[lo.S_FAILED] += 1
    note_if_heavy(w, h, slot, lo.NOTE_FAILED)
    bury(w, h, slot)


@part
def revive(w: Words, h: Words, slot: int, now: int) -> None:
    """A dead job is ready anew."""
    job = lo.JOBS_H + slot * lo.JOB_HALVES
    h[job + lo.JH_ATTEMPTS] = 0
    h[lo.ARENA_H + 2 * block_of(w, slot) + lo.B_SIZES] = payload_bytes_of(w, slot)
    w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_RUN_AT] = now
    w[lo.S_DEAD] -= 1
    w[lo.S_LIVE] += 1
    set_state(h, slot, lo.READY)
    append_ready(w, h, queue_of(h, slot), slot, half(h, job + lo.JH_PRIORITY))
