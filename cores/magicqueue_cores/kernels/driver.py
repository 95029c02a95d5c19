"""Running command lines: from the input region to the output region.

`execute` takes line after line, as long as each is for it, and gives back how far it came
and how much it answered. A line is read whole before anything changes, and whatever could
refuse it is looked at first; so a line is either done with its reply, or not touched.

With a sink for records, each change is also noted as an event, for Python to make a
record of; without one this costs a test a command.
"""
# ruff: noqa: PLR2004 - bytes of JSON are plainest as numbers
# ruff: noqa: PLR0911 - flat lists of cases

from typing import Final

from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.arena import compact, copy_bytes, sprawls
from magicqueue_cores.kernels.bounds import has_room
from magicqueue_cores.kernels.fields import BIT_DATA, BIT_ID, BIT_RUN_AT, decline
from magicqueue_cores.kernels.jit import (
    Memory,
    Words,
    bytes_of,
    halves_of,
    inlined,
    kernel,
    part,
    words_of,
)
from magicqueue_cores.kernels.jobs import (
    add_jobs,
    lend,
    note,
)
from magicqueue_cores.kernels.reply import (
    begin_jobs,
    end_reply,
    write_jobs,
    write_null,
    write_pushed,
    write_pushed_batch,
)
from magicqueue_cores.kernels.request import (
    BIT_IDS,
    BIT_JOBS,
    BIT_QUEUE,
    read_line,
    set_fields,
)
from magicqueue_cores.kernels.scan import skip_space
from magicqueue_cores.kernels.tables import half
from magicqueue_cores.kernels.timers import open_lease, set_deadline
from magicqueue_cores.kernels.verdicts import (
    ack,
    ack_batch,
    begin_event,
    fail,
    fail_batch,
    heartbeat,
    single_heartbeat,
)

_ID_TEXT_BYTES: Final = 17
_JOB_TEXT_BYTES: Final = 192
"""What a job's object has beside its queue and data, at most."""


@part
def _record_pushed(
    w: Words, h: Words, b: Words, queue: int, first_id: int, rows: int
) -> None:
    """Note a batch: what all jobs have, where payloads end, payloads, and rows if mixed.

    The list is as `layout` says for E_PUSHED.
    """
    count = w[lo.R_ITEMS]
    at = begin_event(w, lo.E_PUSHED, count, queue, first_id)
    places = 2 * (at + lo.P_PLACES)
    data = 8 * (at + lo.P_PLACES + count // 2 + 1)
    total = 0
    mixed = 0
    for k in range(count):
        row = rows + k * lo.ROW_WORDS
        h[places + k] = total
        copy_bytes(b, data + total, w[row + lo.X_DATA], w[row + lo.X_DATA_BYTES])
        total += w[row + lo.X_DATA_BYTES]
        for field in range(lo.X_PRIORITY, lo.ROW_WORDS):
            if w[row + field] != w[rows + field]:
                mixed |= 1 << field
    h[places + count] = total
    w[at + lo.P_BYTES] = total
    w[at + lo.P_MIXED] = mixed
    for k in range(lo.ROW_WORDS):
        w[at + lo.P_ROW + k] = w[rows + k]
    end = (data + total + 7) // 8
    if mixed != 0:
        for k in range(count * lo.ROW_WORDS):
            w[end + k] = w[rows + k]
        end += count * lo.ROW_WORDS
    w[lo.S_EVENTS] = end - lo.EVENTS_W


@inlined
def _record_pushed_one(w: Words, queue: int, first_id: int, row: int) -> None:
    at = begin_event(w, lo.E_PUSHED, 1, queue, first_id)
    for k in range(lo.ROW_WORDS):
        w[at + k] = w[row + k]
    w[lo.S_EVENTS] = at + lo.ROW_WORDS - lo.EVENTS_W


@part
def _push(w: Words, h: Words, b: Words, rows: int, count: int, o: int) -> int:
    """PUSH and PUSHB: store the rows."""
    queue = w[lo.R_QUEUE]
    total = 0
    for k in range(count):
        total += w[rows + k * lo.ROW_WORDS + lo.X_DATA_BYTES]
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    if w[at + lo.Q_DELAYED] != 0 and w[lo.DELAY_HEAP_W] <= w[lo.R_NOW]:
        return -1  # more are due than one step takes: it may have to wait behind them
    if not has_room(w, count, total):
        return decline(w, lo.D_ERROR)
    if o - lo.OUTPUT_B + count * _ID_TEXT_BYTES > lo.OUTPUT_BYTES_MAX:
        return decline(w, lo.D_LARGE)
    first_id = add_jobs(w, h, b, queue, rows, count, w[lo.R_NOW])
    if w[at + lo.Q_WATCHED] & lo.WATCHED != 0 and w[at + lo.Q_QUEUED] != 0:
        w[lo.S_WOKEN] = queue
    if w[lo.S_RECORDING] != 0 and count == 1:
        _record_pushed_one(w, queue, first_id, rows)
    elif w[lo.S_RECORDING] != 0:
        _record_pushed(w, h, b, queue, first_id, rows)
    if w[lo.R_COMMAND] == lo.C_PUSH:
        return write_pushed(w, b, o, first_id)
    return write_pushed_batch(w, b, o, first_id, count)


@part
def _output_needed(w: Words, queue: int, count: int) -> int:
    """How long the reply to a pull of `count` jobs may be."""
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    count = min(count, w[at + lo.Q_QUEUED])
    largest = w[at + lo.Q_PAYLOAD_MAX]
    payloads = min(count * largest, w[lo.S_REPLY_BYTES_MAX] + largest)
    return payloads + count * (w[at + lo.Q_TEXT_BYTES] + _JOB_TEXT_BYTES)


@part
def _record_slots(w: Words, kind: int, count: int, one: int, two: int) -> None:
    at = begin_event(w, kind, count, one, two)
    for k in range(count):
        w[at + k] = w[lo.JOBS_W + w[lo.SCRATCH_W + k] * lo.JOB_WORDS + lo.J_ID]
    w[lo.S_EVENTS] = at + count - lo.EVENTS_W


@part
def _note_marked(w: Words, h: Words, count: int, session: int, until: int) -> None:
    """Tell Python of the marked ones of the jobs in scratch, which a line leased."""
    note(w, session, lo.NOTE_PULLED, until)
    for k in range(count):
        slot = w[lo.SCRATCH_W + k]
        if half(h, lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META) & lo.META_MARKED != 0:
            note(w, w[lo.JOBS_W + slot * lo.JOB_WORDS + lo.J_ID], lo.NOTE_LEASED, 0)


@inlined
def _why_not(watched: int) -> int:
    """Why a queue, of which this is the Q_WATCHED, is not for kernels to pull of."""
    if watched & lo.RULED != 0:
        return lo.D_RULED
    return lo.D_WATCHED if watched != 0 else lo.D_LARGE


@part
def _pull(w: Words, h: Words, b: Words, count: int, o: int) -> int:
    """PULL and PULLB of jobs that are there, or that need not be waited for."""
    queue = w[lo.R_QUEUE]
    at = lo.QUEUES_W + queue * lo.QUEUE_WORDS
    if w[at + lo.Q_WATCHED] != 0 or w[at + lo.Q_LARGE] != 0:
        return decline(w, _why_not(w[at + lo.Q_WATCHED]))
    nothing = w[at + lo.Q_QUEUED] == 0 or w[at + lo.Q_PAUSED] != 0
    if nothing and w[lo.R_TIMEOUT] != 0:
        return decline(w, lo.D_WAIT)
    count = min(count, w[lo.S_PULL_JOBS_MAX])
    if o - lo.OUTPUT_B + _output_needed(w, queue, count) > lo.OUTPUT_BYTES_MAX:
        return decline(w, lo.D_LARGE)
    single = w[lo.R_COMMAND] == lo.C_PULL
    o = begin_jobs(b, o, single)
    if nothing:
        o = write_null(b, o) if single else o
    else:
        until = min(w[lo.R_NOW] + w[lo.R_LEASE_MS], lo.TIME_MAX_MS)
        lease = open_lease(w, w[lo.R_SESSION], until)
        taken = lend(w, h, queue, count, w[lo.S_REPLY_BYTES_MAX], lease)
        number = w[lo.SESSIONS_W + w[lo.R_SESSION] * lo.SESSION_WORDS + lo.N_NUMBER]
        if w[lo.S_RECORDING] != 0:
            _record_slots(w, lo.E_LEASED, taken, number, until)
        if w[lo.S_LENT_FLAGS] & lo.META_MARKED != 0:
            _note_marked(w, h, taken, number, until)
        o = write_jobs(w, h, b, o, queue, taken)
    if not single:
        b[o] = 93
        o += 1
    return end_reply(w, b, o)


@inlined
def _run_on_queue(w: Words, h: Words, b: Words, o: int) -> int:
    """Run a command that names a queue."""
    command, seen = w[lo.R_COMMAND], w[lo.R_SEEN]
    if command == lo.C_PUSH and seen & BIT_DATA != 0:
        return _push(w, h, b, lo.R_ROW, 1, o)
    if command == lo.C_PUSHB and seen & BIT_JOBS != 0:
        return _push(w, h, b, lo.SCRATCH_W, w[lo.R_ITEMS], o)
    if command == lo.C_PULL:
        return _pull(w, h, b, 1, o)
    if command == lo.C_PULLB and w[lo.R_COUNT] != lo.ABSENT:
        return _pull(w, h, b, w[lo.R_COUNT], o)
    return -1


@inlined
def _run(w: Words, h: Words, b: Words, o: int) -> int:
    """Run the request that was read; gives the place behind the reply, or -1."""
    command, seen = w[lo.R_COMMAND], w[lo.R_SEEN]
    if command <= lo.C_PULLB:
        return _run_on_queue(w, h, b, o) if seen & BIT_QUEUE != 0 else -1
    if command == lo.C_ACK and seen & BIT_ID != 0:
        return ack(w, h, b, o)
    if command == lo.C_ACKB and seen & BIT_IDS != 0:
        return ack_batch(w, h, b, o)
    if command <= lo.C_FAILB and w[lo.S_DELAYED] != 0 and w[lo.DELAY_HEAP_W] <= w[lo.R_NOW]:
        return -1  # more are due than one step takes: a retry may have to wait behind them
    if command == lo.C_FAIL and seen & (BIT_ID | BIT_RUN_AT) == BIT_ID:
        return fail(w, h, b, o)
    if command == lo.C_FAILB and seen & BIT_JOBS != 0:
        return fail_batch(w, h, b, o)
    if command == lo.C_HEARTBEAT and seen & (BIT_ID | BIT_IDS) == BIT_IDS:
        return heartbeat(w, h, b, o)
    if command == lo.C_HEARTBEAT and seen & (BIT_ID | BIT_IDS) == BIT_ID:
        return single_heartbeat(w, h, b, o)
    return -1


@part
def _run_lines(w: Words, h: Words, b: Words, i: int, end: int, o: int) -> int:
    """Run lines from `i` on while there is room for replies; gives where these end.

    R_STOPPED is where the next line starts. Behind a push to a queue that somebody waits
    for none runs: who waits is served first.
    """
    most = lo.OUTPUT_B + w[lo.S_OUTPUT_SOFT_MAX]
    while i < end and o < most and w[lo.S_WOKEN] == 0:
        if b[i] == 10:
            i += 1
            continue
        if b[i] == 13 and b[i + 1] == 10:
            i += 2
            continue
        following = read_line(w, h, b, skip_space(b, i))
        if following < 0:
            break
        behind = _run(w, h, b, o)
        if behind < 0:
            break
        i = following
        o = behind
    w[lo.R_STOPPED] = i
    return o


@part
def _begin(w: Words, now: int) -> None:
    w[lo.R_NOW] = now
    w[lo.S_NOTES] = 0
    w[lo.S_EVENTS] = 0
    w[lo.S_WOKEN] = 0
    w[lo.S_WHY] = 0
    if w[lo.S_FIELDS + lo.C_PUSH] == 0:
        set_fields(w)


@part
def _end(w: Words, h: Words, b: Words) -> None:
    set_deadline(w)
    if sprawls(w):
        compact(w, h, b)


@kernel("int64(int64[::1], int64, int64, int64, int64)")
def execute(memory: Memory, start: int, size: int, session: int, now: int) -> int:
    """Run lines of `size` bytes that begin `start` bytes into the input.

    Gives consumed bytes << 32 | reply bytes. If the first line is not for kernels, it is
    counted as declined: whoever called takes it the common way, and then calls again.
    """
    w, h, b = words_of(memory), halves_of(memory), bytes_of(memory)
    _begin(w, now)
    w[lo.R_SESSION] = session
    i = lo.INPUT_B + start
    o = _run_lines(w, h, b, i, i + size, lo.OUTPUT_B)
    if w[lo.R_STOPPED] == i:
        w[lo.S_DECLINED + w[lo.S_WHY]] += 1
    _end(w, h, b)
    return (w[lo.R_STOPPED] - i) << 32 | (o - lo.OUTPUT_B)


@kernel("int64(int64[::1], int64, int64)")
def execute_feeds(memory: Memory, count: int, now: int) -> int:
    """Run the lines of many feeds; gives how many of these did not run to their end.

    A feed of no session, or that does not end with a line's end, is left alone.
    """
    w, h, b = words_of(memory), halves_of(memory), bytes_of(memory)
    _begin(w, now)
    o = lo.OUTPUT_B
    left = 0
    for k in range(count):
        feed = lo.FEEDS_W + k * lo.FEED_WORDS
        start = w[feed + lo.F_AT]
        size = w[feed + lo.F_BYTES]
        w[feed + lo.F_REPLY_AT] = o
        if w[feed + lo.F_SESSION] != 0 and size > 0 and b[start + size - 1] == 10:
            w[lo.R_SESSION] = w[feed + lo.F_SESSION]
            o = _run_lines(w, h, b, start, start + size, o)
            w[feed + lo.F_RAN] = w[lo.R_STOPPED] - start
        w[feed + lo.F_REPLY_BYTES] = o - w[feed + lo.F_REPLY_AT]
        if w[feed + lo.F_RAN] != size:
            left += 1
    _end(w, h, b)
    return left
