"""The jobs in the core's memory, as Python sees and changes them.

Kernels do what touches many jobs; here is how they are called, and the little that Python
itself keeps for a job: its last error, how it died, a payload too long for the arena, a
number too large for its block. A job with any of these is marked, and the kernels leave a
note when it is settled.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.array_core.queues import Queue, Queues
from magicqueue_cores.contract import (
    NEVER_MS,
    CoreOptions,
    JobState,
    JobView,
    WireDefaults,
)
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import act
from magicqueue_cores.retry import retry_delay_ms

JOB_OVERHEAD_BYTES: Final = 88
"""Measured: 78 bytes beyond a payload of 100 bytes; half of the rounding to 8 is added."""
_ERROR_TEXT: Final = msgspec.json.Decoder(str)
MAX_ATTEMPTS_KEPT: Final = 2**31 - 1
"""What a block has bits for; Python keeps what is larger."""


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
        self.releases: dict[int, int] = {}
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
                self.releases.pop(job_id, None)
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
            failures=attempts
            - lost
            - self.releases.get(job_id, 0)
            - (state is JobState.ACTIVE),
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
        state[lo.S_MAX_ATTEMPTS] = min(wire.max_attempts, MAX_ATTEMPTS_KEPT)
        state[lo.S_BACKOFF] = min(wire.backoff_ms, options.backoff_ms_max)
        state[lo.S_OUTPUT_SOFT_MAX] = min(wire.reply_bytes_a_call, lo.OUTPUT_BYTES_MAX // 2)

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

    def count_release(self, job_id: int, count: int = 1) -> None:
        """Note that hand-outs of a job ended without a failure or a loss."""
        self.releases[job_id] = self.releases.get(job_id, 0) + count
        self.mark(self.find(job_id), lo.META_RELEASED | lo.META_NOTED)

    def retry_at_ms(self, job_id: int, now_ms: int) -> int:
        """When an active job that was ever released runs again if it fails now, or DIES."""
        slot = self.find(job_id)
        job = self.view(slot)
        failures = job.failures + 1
        if 0 < job.max_attempts <= failures:
            return lo.DIES
        return now_ms + retry_delay_ms(
            job_id=job_id,
            failures=failures,
            backoff_ms=self.header(slot, lo.B_BACKOFF) & 0xFFFFFFFF,
            jitter=bool(self.field(slot, lo.JH_META) & lo.META_JITTER),
            backoff_ms_max=self.options.backoff_ms_max,
        )

    def forget_releases(self, job_id: int) -> None:
        """Let the hand-outs of a job be counted anew."""
        if self.releases.pop(job_id, None):
            at = lo.JOBS_H + self.find(job_id) * lo.JOB_HALVES + lo.JH_META
            self.memory.halves[at] &= ~lo.META_RELEASED

    def keep_max_attempts(self, job_id: int, max_attempts: int) -> None:
        """Keep a number that no job comes to, and that its block has no bits for."""
        if max_attempts > MAX_ATTEMPTS_KEPT:
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
