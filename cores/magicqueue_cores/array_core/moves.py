"""The whole state of jobs of the array core: told for a log, and put back from one.

Kernels tell and restore what is in the memory; what Python keeps for few jobs (errors, how
they died, long payloads, leases to share) is seen to here, job by job.
"""

from collections.abc import Callable, Sequence

from magicqueue_cores import records
from magicqueue_cores.array_core.columns import clipped
from magicqueue_cores.array_core.rows import write_rows
from magicqueue_cores.array_core.store import Death, Store
from magicqueue_cores.contract import COUNT_MAX, CoreError, JobState
from magicqueue_cores.kernels import job_columns as jc
from magicqueue_cores.kernels import layout as lo

_ACTIVE = int(JobState.ACTIVE)
_READY = int(JobState.READY)
_HELD = int(JobState.HELD)
_DEAD = int(JobState.DEAD)


def export_jobs(store: Store, ids: Sequence[int]) -> records.Moved:
    """Tell all about those of `ids` that are here. O(1) a job."""
    store.write_ids(ids)
    count = store.act(lo.V_FIND_MANY, len(ids))
    store.act(lo.V_TELL_JOBS, count, 1)
    told = store.scratch_list(count * jc.ALL_COLUMNS)

    def column(number: int) -> list[int]:
        return told[number * count : (number + 1) * count]

    found = column(jc.ID)
    failures, losses = column(jc.FAILURES), column(jc.LOST)
    if store.counts:
        heavy = {row: store.counts[i] for row, i in enumerate(found) if i in store.counts}
        for row, counts in heavy.items():
            failures[row], losses[row] = counts.failures, counts.lost
    deaths = [store.deaths.get(job_id) for job_id in found] if store.deaths else []
    nothing = [None] * count
    return records.Moved(
        ids=found,
        queues=_names(store, column(jc.QUEUE)),
        payloads=_payloads(store, column),
        priorities=column(jc.PRIORITY),
        created_ats_ms=column(jc.CREATED),
        run_ats_ms=column(jc.RUN_AT),
        max_attempts=column(jc.MAX_ATTEMPTS),
        backoffs_ms=column(jc.BACKOFF),
        jitters=list(map(bool, column(jc.JITTER))),
        states=column(jc.STATE),
        returned=list(map(bool, column(jc.RETURNED))),
        sequences=column(jc.SEQUENCE),
        attempts=column(jc.ATTEMPTS),
        failures=failures,
        losses=losses,
        sessions=column(jc.SESSION),
        untils_ms=column(jc.UNTIL),
        died_ats_ms=[d.at_ms if d else 0 for d in deaths] if deaths else [0] * count,
        errors=[store.error(i) for i in found] if store.errors else nothing,
        reasons=[d.reason if d else None for d in deaths] if deaths else nothing,
    )


def replay_moved(store: Store, record: records.Moved) -> None:
    """Put jobs back. Raises `CoreError` if one is here already or was never pushed."""
    large = write_rows(store, record)
    _write_columns(store, record)
    count = len(record.ids)
    with store.unbounded():
        wrong = store.act(lo.V_RESTORE, count)
    if wrong < 0:
        raise CoreError("the array core's tables cannot hold more jobs")
    if wrong:
        job_id = record.ids[wrong - 1]
        raise CoreError(f"a record brings back job {job_id}, which cannot be missing")
    begin = lo.SCRATCH_W + count * (lo.ROW_WORDS + jc.BACK_ID)
    slots = store.memory.words[begin : begin + count].tolist()
    for row in large:
        queue = store.queues.of(record.queues[row])
        store.keep_large(queue, record.ids[row], record.payloads[row])
    for job_id, slot, error in zip(record.ids, slots, record.errors, strict=True):
        if error is not None:
            store.set_error(job_id, slot, error)
    _keep_counts(store, record)
    if _ACTIVE in record.states:
        _lend(store, record, slots)
    if _DEAD in record.states:
        _bury(store, record, slots)


def _names(store: Store, numbers: list[int]) -> list[str]:
    names = {number: store.queues.numbered(number).name for number in set(numbers)}
    return [names[number] for number in numbers]


def _payloads(store: Store, column: Callable[[int], list[int]]) -> list[bytes]:
    if store.large:
        return [store.payload(slot) for slot in column(0)]
    view = store.memory.bytes
    spans = zip(column(jc.START), column(jc.END), strict=True)
    return [view[start:end].tobytes() for start, end in spans]


def _write_columns(store: Store, record: records.Moved) -> None:
    """Put what rows have no place for behind them."""
    queues = {name: store.queues.of(name).number for name in set(record.queues)}
    flags = list(record.states)
    for row, state in enumerate(flags):
        if state == _READY:
            flags[row] = lo.META_RETURNED if record.returned[row] else lo.META_MOVED
        elif state == _HELD and record.returned[row]:
            flags[row] |= lo.META_RETURNED
    states = zip(clipped(record.attempts, COUNT_MAX), record.states, strict=True)
    columns: dict[int, Sequence[int]] = {
        jc.BACK_ID: record.ids,
        jc.BACK_CREATED: record.created_ats_ms,
        jc.BACK_ATTEMPTS: [attempts - (state == _ACTIVE) for attempts, state in states],
        jc.BACK_LOST: [min(lost, lo.LOST_MAX) for lost in record.losses],
        jc.BACK_QUEUE: [queues[name] for name in record.queues],
        jc.BACK_FLAGS: flags,
        jc.BACK_SEQUENCE: record.sequences,
    }
    count = len(record.ids)
    behind = count * lo.ROW_WORDS
    for number, column in columns.items():
        store.memory.write_column(behind + number * count, 1, count, column)


def _keep_counts(store: Store, record: records.Moved) -> None:
    """Keep the counts of jobs whose records do not tell them: heavy ones, released ones.

    A hand-out that is over and was neither a failure nor a loss was a release.
    """
    over = sum(record.attempts) - sum(state == _ACTIVE for state in record.states)
    plain = over == sum(record.failures) + sum(record.losses)
    light = max(record.losses) < lo.LOST_MAX and max(record.attempts) < lo.HEAVY_ATTEMPTS
    if plain and light:
        return
    rows = zip(
        record.ids,
        record.attempts,
        record.failures,
        record.losses,
        record.states,
        strict=True,
    )
    for job_id, attempts, failures, lost, state in rows:
        heavy = lost >= lo.LOST_MAX or attempts >= lo.HEAVY_ATTEMPTS
        if heavy or attempts - (state == _ACTIVE) != failures + lost:
            store.keep_counts(job_id, failures, lost)


def _lend(store: Store, record: records.Moved, slots: list[int]) -> None:
    """Put active jobs under leases, one for each session and end."""
    leases: dict[tuple[int, int], int] = {}
    for row, state in enumerate(record.states):
        if state == _ACTIVE:
            held_by = record.sessions[row], record.untils_ms[row]
            if held_by not in leases:
                session = store.session(held_by[0])
                leases[held_by] = store.act(lo.V_OPEN_LEASE, session, held_by[1])
            store.act(lo.V_LEND, slots[row], leases[held_by])


def _bury(store: Store, record: records.Moved, slots: list[int]) -> None:
    """Make dead letters of dead jobs, in the order in which they died."""
    dead: dict[str, dict[int, int]] = {}
    for row, state in enumerate(record.states):
        if state == _DEAD:
            job_id = record.ids[row]
            reason = record.reasons[row] or "failed"
            store.mark(slots[row], lo.META_NOTED)
            store.deaths[job_id] = Death(reason, record.died_ats_ms[row])
            letters = dead.setdefault(record.queues[row], {})
            text = store.errors.get(job_id, b"")
            letters[job_id] = len(record.payloads[row]) + len(text)
    for name, sizes in dead.items():
        store.queues.of(name).dead.put_in(
            sizes, lambda job_id: store.word(store.find(job_id), lo.J_SEQUENCE)
        )
