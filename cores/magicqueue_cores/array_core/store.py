"""The jobs in the core's memory, as Python sees and changes them.

Kernels do what touches many jobs; here are the batches that go to them and come from
them, and the little that Python itself keeps for a job: its last error, how it died, a
payload too long for the arena, a number too large for its block. A job with any of these
is marked, and the kernels leave a note when it is settled.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from magicqueue_cores.array_core.columns import clipped, first, halves_of, largest, spread
from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.array_core.queues import Queue, Queues
from magicqueue_cores.contract import (
    NEVER_MS,
    CoreOptions,
    Full,
    JobState,
    JobView,
    NewJobs,
    WireDefaults,
)
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import act
from magicqueue_cores.records import PayloadBlob, Pushed

JOB_OVERHEAD_BYTES: Final = 88
"""Measured: 78 bytes beyond a payload of 100 bytes; half of the rounding to 8 is added."""
_ERROR_TEXT: Final = msgspec.json.Decoder(str)
_INT32_MAX: Final = 2**31 - 1


class Death(msgspec.Struct, frozen=True, gc=False):
    """How a job died."""

    reason: str
    at_ms: int


class Store:
    """Jobs, queues and sessions. Methods get record numbers, or ids that are known."""

    def __init__(self, options: CoreOptions, wire: WireDefaults) -> None:
        """Start empty."""
        self.memory = Memory()
        self.options = options
        self.queues = Queues(self.memory, options)
        self.sessions: dict[int, int] = {0: 0}
        self.errors: dict[int, str] = {}
        self.large: dict[int, tuple[bytes, Queue]] = {}
        self.deaths: dict[int, Death] = {}
        self.max_attempts: dict[int, int] = {}
        self._error_chars_max = wire.error_chars_max
        self._free_sessions: list[int] = []
        self._set_up(wire)

    def act(self, verb: int, one: int = 0, two: int = 0, three: int = 0) -> int:
        """Run a kernel of `verbs`, and see to its notes."""
        result: int = act(self.memory.flat, verb, one, two, three)
        if self.memory.state[lo.S_NOTES]:
            self.take_notes()
        return result

    def find(self, job_id: int) -> int:
        """The job's record, or 0. O(1)."""
        return int(act(self.memory.flat, lo.V_FIND, job_id, 0, 0))

    def field(self, slot: int, half: int) -> int:
        """A half of a job's record."""
        return self.memory.halves[lo.JOBS_H + slot * lo.JOB_HALVES + half]

    def word(self, slot: int, word: int) -> int:
        """A word of a job's record."""
        return self.memory.words[lo.JOBS_W + slot * lo.JOB_WORDS + word]

    def header(self, slot: int, half: int) -> int:
        """A half of the header of a job's block."""
        block = self.word(slot, lo.J_BLOCK) >> lo.BLOCK_BITS
        return self.memory.halves[lo.ARENA_H + 2 * block + half]

    def state_of(self, slot: int) -> JobState:
        """Where the job is."""
        return JobState(self.field(slot, lo.JH_META) & lo.META_STATE)

    def queue_of(self, slot: int) -> Queue:
        """The job's queue."""
        return self.queues.numbered(self.field(slot, lo.JH_META) >> lo.META_QUEUE_SHIFT)

    def payload(self, slot: int) -> bytes:
        """The job's payload."""
        if self.field(slot, lo.JH_META) & lo.META_LARGE:
            return self.large[self.word(slot, lo.J_ID)][0]
        place = self.word(slot, lo.J_BLOCK)
        start = lo.ARENA_B + 8 * (place >> lo.BLOCK_BITS) + lo.BLOCK_HEADER_BYTES
        return bytes(self.memory.bytes[start : start + (place & lo.BLOCK_MASK)])

    def session(self, number: int) -> int:
        """What kernels call a session."""
        index = self.sessions.get(number)
        if index is None:
            index = self._free_sessions.pop() if self._free_sessions else len(self.sessions)
            self.sessions[number] = index
            at = lo.SESSIONS_W + index * lo.SESSION_WORDS
            self.memory.words[at + lo.N_NUMBER] = number
        return index

    def forget_session(self, number: int) -> None:
        """A session that holds nothing is over."""
        index = self.sessions.pop(number, None)
        if index is not None:
            self._free_sessions.append(index)

    def mark(self, slot: int, flags: int) -> None:
        """Note that Python keeps something for a job."""
        self.memory.halves[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] |= flags

    def set_error(self, job_id: int, slot: int, error: str | None) -> None:
        """Keep a job's last error."""
        if error is None:
            self.errors.pop(job_id, None)
        else:
            self.errors[job_id] = error
            self.mark(slot, lo.META_NOTED)

    def take_notes(self) -> None:
        """See to what kernels noted: jobs that are gone, errors that came in lines."""
        memory = self.memory
        count = memory.state[lo.S_NOTES]
        notes = memory.words[lo.NOTES_W : lo.NOTES_W + count * lo.NOTE_WORDS].tolist()
        memory.state[lo.S_NOTES] = 0
        for job_id, at, size in zip(notes[::3], notes[1::3], notes[2::3], strict=True):
            if at > 0:
                self.errors[job_id] = self.error_text(at, size)
                continue
            self.errors.pop(job_id, None)
            if at == lo.NOTE_SETTLED:
                self.deaths.pop(job_id, None)
                self.max_attempts.pop(job_id, None)
                self._drop_large(job_id)

    def error_text(self, at: int, size: int) -> str:
        """The error that a request had at a place of the memory, as JSON."""
        text = _ERROR_TEXT.decode(bytes(self.memory.bytes[at : at + size]))
        return text[: self._error_chars_max]

    def judged(
        self, verb: int, ids: Sequence[int], attempts: Sequence[int] | None, more: int = 0
    ) -> list[int]:
        """Run a verb on verdicts, some at a time; gives what became of each."""
        if len(ids) == 1:
            scratch = self.memory.scratch
            scratch[lo.I_ID] = ids[0]
            scratch[lo.I_ATTEMPT] = attempts[0] if attempts else 0
            self.act(verb, 1, more)
            return [scratch[lo.I_ERROR]]
        outcomes: list[int] = []
        write, width = self.memory.write_column, lo.ITEM_WORDS
        for begin in range(0, len(ids), lo.ITEMS_MAX):
            part = slice(begin, begin + lo.ITEMS_MAX)
            count = len(ids[part])
            write(lo.I_ID, width, count, ids[part])
            write(lo.I_ATTEMPT, width, count, attempts[part] if attempts else 0)
            self.act(verb, count, more)
            end = lo.SCRATCH_W + count * width
            outcomes += self.memory.words[lo.SCRATCH_W + lo.I_ERROR : end : width].tolist()
        return outcomes

    def write_ids(self, ids: Sequence[int]) -> None:
        """Put ids into scratch."""
        self.memory.write_column(0, 1, len(ids), ids)

    def scratch_list(self, count: int) -> list[int]:
        """The first words of scratch."""
        listed = self.memory.words[lo.SCRATCH_W : lo.SCRATCH_W + count].tolist()
        self.memory.trim_scratch(count)
        return listed

    def push(self, queue: Queue, batch: NewJobs | Pushed, at_ms: int) -> int:
        """Store a batch; gives its first id. Raises `Full` if the tables cannot hold it."""
        payloads = batch.payloads
        if len(payloads) == 1 and len(payloads[0]) <= lo.PAYLOAD_BYTES_MAX:
            return self._push_one(queue, payloads[0], batch, at_ms)
        memory, count = self.memory, len(payloads)
        columns = (
            (lo.X_PRIORITY, batch.priorities),
            (lo.X_RUN_AT, batch.run_ats_ms),
            (lo.X_MAX_ATTEMPTS, clipped(batch.max_attempts, _INT32_MAX)),
            (lo.X_BACKOFF, self._retries(batch)),
        )
        for field, column in columns:
            memory.scratch[field] = first(column)
        large = self._write_payloads(payloads)
        for field, column in columns:
            if not isinstance(column, int):
                memory.write_column(field, lo.ROW_WORDS, count, column)
        first_id = self._pushed(self.act(lo.V_PUSH, queue.number, len(payloads), at_ms))
        if largest(batch.max_attempts) > _INT32_MAX:
            for index, most in enumerate(spread(batch.max_attempts, count)):
                self.keep_max_attempts(first_id + index, most)
        for index in large:
            self.keep_large(queue, first_id + index, payloads[index])
        return first_id

    def view(self, slot: int) -> JobView:
        """All that can be said of one job."""
        job_id = self.word(slot, lo.J_ID)
        state = self.state_of(slot)
        attempts = self.field(slot, lo.JH_ATTEMPTS)
        lost = self.header(slot, lo.B_SIZES) >> lo.B_LOST_SHIFT
        death = self.deaths.get(job_id)
        until_ms = None
        if state is JobState.ACTIVE:
            lease = self.field(slot, lo.JH_LEASE)
            until_ms = self.memory.words[lo.LEASES_W + lease * lo.LEASE_WORDS]
        return JobView(
            id=job_id,
            queue=self.queue_of(slot).name,
            payload=self.payload(slot),
            priority=self.field(slot, lo.JH_PRIORITY),
            created_at_ms=self.word(slot, lo.J_CREATED),
            run_at_ms=self.word(slot, lo.J_RUN_AT),
            attempts=attempts,
            state=state,
            failures=attempts - lost - (state is JobState.ACTIVE),
            lost=lost,
            max_attempts=self.max_attempts.get(job_id)
            or self.header(slot, lo.B_MAX_ATTEMPTS),
            error=self.errors.get(job_id),
            lease_until_ms=until_ms,
            reason=death.reason if death else None,
            died_at_ms=death.at_ms if death else None,
        )

    def _set_up(self, wire: WireDefaults) -> None:
        state, options = self.memory.state, self.options
        state[lo.S_NEXT_ID] = 1
        state[lo.S_DEADLINE] = NEVER_MS
        state[lo.S_JOBS_MAX] = options.jobs_max
        state[lo.S_MEMORY_BYTES_MAX] = options.memory_bytes_max
        state[lo.S_OVERHEAD_BYTES] = JOB_OVERHEAD_BYTES
        state[lo.S_BACKOFF_MAX] = options.backoff_ms_max
        state[lo.S_JOB_BYTES_MAX] = wire.job_bytes_max
        state[lo.S_PUSH_JOBS_MAX] = wire.push_jobs_max
        state[lo.S_PULL_JOBS_MAX] = wire.pull_jobs_max
        state[lo.S_REPLY_BYTES_MAX] = wire.reply_payload_bytes_max
        state[lo.S_LEASE] = wire.lease_ms
        state[lo.S_MAX_ATTEMPTS] = min(wire.max_attempts, _INT32_MAX)
        state[lo.S_BACKOFF] = min(wire.backoff_ms, options.backoff_ms_max)
        state[lo.S_OUTPUT_SOFT_MAX] = min(wire.reply_bytes_a_call, lo.OUTPUT_BYTES_MAX // 2)

    def _push_one(
        self, queue: Queue, payload: bytes, batch: NewJobs | Pushed, at_ms: int
    ) -> int:
        """Store one job: at a third of the price of a batch of one."""
        self.write_row(
            payload,
            priority=first(batch.priorities),
            run_at_ms=first(batch.run_ats_ms),
            max_attempts=first(batch.max_attempts),
            backoff_ms=first(batch.backoffs_ms),
            jitter=first(batch.jitters),
        )
        job_id = self._pushed(self.act(lo.V_PUSH, queue.number, 1, at_ms))
        self.keep_max_attempts(job_id, first(batch.max_attempts))
        return job_id

    def write_row(
        self,
        payload: bytes,
        *,
        priority: int,
        run_at_ms: int,
        max_attempts: int,
        backoff_ms: int,
        jitter: int,
    ) -> None:
        """Put one job where kernels look for it."""
        scratch = self.memory.scratch
        self.memory.bytes[lo.INPUT_B : lo.INPUT_B + len(payload)] = payload
        scratch[lo.X_DATA] = lo.INPUT_B
        scratch[lo.X_DATA_BYTES] = len(payload)
        scratch[lo.X_PRIORITY] = priority
        scratch[lo.X_RUN_AT] = run_at_ms
        scratch[lo.X_MAX_ATTEMPTS] = min(max_attempts, _INT32_MAX)
        backoff_ms = min(backoff_ms, self.options.backoff_ms_max)
        scratch[lo.X_BACKOFF] = backoff_ms | jitter << lo.X_JITTER_BIT

    def _pushed(self, first_id: int) -> int:
        if first_id < 0:
            raise Full("the array core's tables cannot hold more jobs: drain a queue")
        return first_id

    def _retries(self, batch: NewJobs | Pushed) -> int | list[int]:
        """The words of a batch that hold backoff and jitter."""
        backoffs_ms = clipped(batch.backoffs_ms, self.options.backoff_ms_max)
        jitters = batch.jitters
        if isinstance(backoffs_ms, int) and isinstance(jitters, int):
            return backoffs_ms | jitters << lo.X_JITTER_BIT
        count = len(batch.payloads)
        pairs = zip(spread(backoffs_ms, count), spread(jitters, count), strict=True)
        return [backoff_ms | jitter << lo.X_JITTER_BIT for backoff_ms, jitter in pairs]

    def _write_payloads(self, payloads: Sequence[bytes]) -> list[int]:
        """Put payloads where kernels look for them; gives which are too long for that."""
        if isinstance(payloads, PayloadBlob) and self._write_blob(payloads):
            return []
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
        self.memory.bytes[lo.INPUT_B : lo.INPUT_B + len(joined)] = joined
        count = len(sizes)
        behind = lo.SCRATCH_W + count * lo.ROW_WORDS
        self.memory.words[behind : behind + count] = sizes
        self.act(lo.V_FILL_ROWS, count)
        return large

    @contextmanager
    def unbounded(self) -> Iterator[None]:
        """Let the bounds of the options not count for a while: what happened, happened."""
        state = self.memory.state
        bounds = state[lo.S_JOBS_MAX], state[lo.S_MEMORY_BYTES_MAX]
        state[lo.S_JOBS_MAX] = state[lo.S_MEMORY_BYTES_MAX] = 0
        try:
            yield
        finally:
            state[lo.S_JOBS_MAX], state[lo.S_MEMORY_BYTES_MAX] = bounds

    def _write_blob(self, blob: PayloadBlob) -> bool:
        """Put payloads that lie in one buffer where kernels look, if all are short."""
        view, count, size = self.memory.bytes, len(blob.starts), len(blob.buffer)
        if size > lo.INPUT_BYTES_MAX:
            return False
        view[lo.INPUT_B : lo.INPUT_B + size] = blob.buffer
        at = 8 * (lo.SCRATCH_W + count * lo.ROW_WORDS)
        for column in (blob.starts, blob.ends):
            view[at : at + 4 * count] = halves_of(column)
            at += 4 * count
        return self.act(lo.V_FILL_ROWS, count, 1) <= lo.PAYLOAD_BYTES_MAX

    def keep_max_attempts(self, job_id: int, max_attempts: int) -> None:
        """Keep a number that no job comes to, and that its block has no bits for."""
        if max_attempts > _INT32_MAX:
            self.max_attempts[job_id] = int(max_attempts)
            self.mark(self.find(job_id), lo.META_NOTED)

    def keep_large(self, queue: Queue, job_id: int, payload: bytes) -> None:
        """Keep a payload that is too long for the arena."""
        self.large[job_id] = (payload, queue)
        self.mark(self.find(job_id), lo.META_LARGE | lo.META_NOTED)
        self.memory.words[queue.at + lo.Q_LARGE] += 1
        self.memory.state[lo.S_PAYLOAD_BYTES] += len(payload)

    def _drop_large(self, job_id: int) -> None:
        kept = self.large.pop(job_id, None)
        if kept is not None:
            payload, queue = kept
            self.memory.words[queue.at + lo.Q_LARGE] -= 1
            self.memory.state[lo.S_PAYLOAD_BYTES] -= len(payload)
