"""Batches on their way to the kernels: rows in scratch, payloads in the input region.

A row is what one job has; what all jobs of a batch share is written once, and kernels
spread it. Payloads too long for the arena stay outside, and Python keeps them.
"""

from array import array
from collections.abc import Sequence

from magicqueue_cores.array_core.columns import clipped, first, halves_of, spread
from magicqueue_cores.array_core.queues import Queue
from magicqueue_cores.array_core.store import Store
from magicqueue_cores.contract import COUNT_MAX, Full, NewJobs
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.records import Moved, PayloadBlob, Pushed


def push(store: Store, queue: Queue, batch: NewJobs | Pushed, at_ms: int) -> int:
    """Store a batch; gives its first id. Raises `Full` if the tables cannot hold it."""
    payloads = batch.payloads
    if len(payloads) == 1 and len(payloads[0]) <= lo.PAYLOAD_BYTES_MAX:
        return _push_one(store, queue, payloads[0], batch, at_ms)
    large = write_rows(store, batch)
    verb = lo.V_PUSH_HELD if batch.held else lo.V_PUSH
    first_id = _pushed(store.act(verb, queue.number, len(payloads), at_ms))
    for index in large:
        store.keep_large(queue, first_id + index, payloads[index])
    return first_id


def write_rows(store: Store, batch: NewJobs | Pushed | Moved) -> list[int]:
    """Put jobs where kernels look; gives which have a payload that is too long for it."""
    memory = store.memory
    columns = (
        (lo.X_PRIORITY, batch.priorities),
        (lo.X_RUN_AT, batch.run_ats_ms),
        (lo.X_MAX_ATTEMPTS, clipped(batch.max_attempts, COUNT_MAX)),
        (lo.X_BACKOFF, _retries(batch, store.options.backoff_ms_max)),
    )
    for field, column in columns:
        memory.scratch[field] = first(column)
    large = _write_payloads(store, batch.payloads)
    for field, column in columns:
        if not isinstance(column, int):
            memory.write_column(field, lo.ROW_WORDS, len(batch.payloads), column)
    return large


def _push_one(
    store: Store, queue: Queue, payload: bytes, batch: NewJobs | Pushed, at_ms: int
) -> int:
    """Store one job: at a third of the price of a batch of one."""
    scratch = store.memory.scratch
    begin = store.memory.load(payload)
    backoff_ms = min(first(batch.backoffs_ms), store.options.backoff_ms_max)
    scratch[lo.X_DATA] = lo.INPUT_B + begin
    scratch[lo.X_DATA_BYTES] = len(payload)
    scratch[lo.X_PRIORITY] = first(batch.priorities)
    scratch[lo.X_RUN_AT] = first(batch.run_ats_ms)
    scratch[lo.X_MAX_ATTEMPTS] = min(first(batch.max_attempts), COUNT_MAX)
    scratch[lo.X_BACKOFF] = backoff_ms | first(batch.jitters) << lo.X_JITTER_BIT
    verb = lo.V_PUSH_HELD if batch.held else lo.V_PUSH
    return _pushed(store.act(verb, queue.number, 1, at_ms))


def replace(
    store: Store, job_id: int, payload: bytes, priority: int, run_at_ms: int, at_ms: int
) -> None:
    """Give a job that waits another payload, priority and time to run."""
    scratch, slot = store.memory.scratch, store.find(job_id)
    queue = store.queue_of(slot)
    large = len(payload) > lo.PAYLOAD_BYTES_MAX
    if store.drop_large(job_id):
        store.unmark(slot, lo.META_LARGE)
    scratch[lo.X_DATA_BYTES] = 0 if large else len(payload)
    scratch[lo.X_DATA] = lo.INPUT_B + store.memory.load(b"" if large else payload)
    scratch[lo.X_PRIORITY] = priority
    scratch[lo.X_RUN_AT] = run_at_ms
    store.act(lo.V_REPLACE, slot, at_ms)
    if large:
        store.keep_large(queue, job_id, payload)


def _pushed(first_id: int) -> int:
    if first_id < 0:
        raise Full("the array core's tables cannot hold more jobs: drain a queue")
    return first_id


def _retries(batch: NewJobs | Pushed | Moved, backoff_ms_max: int) -> int | Sequence[int]:
    """The words of a batch that hold backoff and jitter."""
    backoffs_ms = clipped(batch.backoffs_ms, backoff_ms_max)
    jitters = batch.jitters
    if isinstance(backoffs_ms, int) and isinstance(jitters, int):
        return backoffs_ms | jitters << lo.X_JITTER_BIT
    if not isinstance(jitters, int) and not any(jitters):
        return backoffs_ms
    count = len(batch.payloads)
    pairs = zip(spread(backoffs_ms, count), spread(jitters, count), strict=True)
    return [backoff_ms | jitter << lo.X_JITTER_BIT for backoff_ms, jitter in pairs]


def _write_payloads(store: Store, payloads: Sequence[bytes]) -> list[int]:
    """Put payloads where kernels look for them; gives which are too long for that."""
    if isinstance(payloads, PayloadBlob) and _write_blob(store, payloads):
        return []
    memory = store.memory
    sizes = array("q", map(len, payloads))
    most = lo.PAYLOAD_BYTES_MAX if sum(sizes) <= lo.INPUT_BYTES_MAX else 0
    large = []
    if max(sizes) > most:
        large = [index for index, size in enumerate(sizes) if size > most]
    if large:
        payloads = list(payloads)
        for index in large:
            payloads[index] = b""
            sizes[index] = 0
    joined = b"".join(payloads)
    begin = memory.load(joined)
    behind = lo.SCRATCH_W + len(sizes) * lo.ROW_WORDS
    memory.words[behind : behind + len(sizes)] = sizes
    store.act(lo.V_FILL_ROWS, len(sizes), 0, begin)
    return large


def _write_blob(store: Store, blob: PayloadBlob) -> bool:
    """Put payloads that lie in one buffer where kernels look, if all are short."""
    view, count, size = store.memory.bytes, len(blob.starts), len(blob.buffer)
    if size > lo.INPUT_BYTES_MAX:
        return False
    begin = store.memory.load(blob.buffer)
    at = 8 * (lo.SCRATCH_W + count * lo.ROW_WORDS)
    for column in (blob.starts, blob.ends):
        view[at : at + 4 * count] = halves_of(column)
        at += 4 * count
    return store.act(lo.V_FILL_ROWS, count, 1, begin) <= lo.PAYLOAD_BYTES_MAX
