"""The jobs in the core's memory, as Python sees and changes them.

Kernels do what touches many jobs; here is how they are called, and the little that Python
itself keeps for a job: its last error, how it died, a payload too long for the arena,
numbers too large for its block. A job with any of these is marked, and the kernels leave a
note when it is settled.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from magicqueue_cores.array_core import tally
from magicqueue_cores.array_core.memory import Memory
from magicqueue_cores.array_core.queues import Queue, Queues
from magicqueue_cores.contract import (
    COUNT_MAX,
    NEVER_MS,
    CoreOptions,
    JobState,
    JobView,
)
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.entry import act
from magicqueue_cores.line_contract import WireDefaults

JOB_OVERHEAD_BYTES: Final = 88
"""A record, a block's header and half of its rounding to 8, a 64th of a page of ids."""
_ERROR_TEXT: Final = msgspec.json.Decoder(str)
_OF_HEAVY: Final = frozenset((lo.NOTE_LOST, lo.NOTE_FAILED))
_OF_MARKED: Final = frozenset((lo.NOTE_PULLED, lo.NOTE_LEASED, lo.NOTE_ACKED))
_SESSIONS_SPARE: Final = 1024
_LIST_MAX: Final = 65_536


class Death(msgspec.Struct, frozen=True, gc=False):
    """How a job died."""

    reason: str
    at_ms: int


class Counts(msgspec.Struct, gc=False):
    """How often a heavy job failed and was lost."""

    failures: int
    lost: int


class Store:
    """Jobs, queues and sessions. Methods get record numbers, or ids that are known."""

    def __init__(self, options: CoreOptions, wire: WireDefaults) -> None:
        """Start empty."""
        self.memory = Memory()
        self.options = options
        self.queues = Queues(self.memory, options)
        self.sessions: dict[int, int] = {0: 0}
        self.errors: dict[int, bytes] = {}
        self.text_bytes = 0
        self.large: dict[int, tuple[bytes, Queue]] = {}
        self.deaths: dict[int, Death] = {}
        self.counts: dict[int, Counts] = {}
        self.large_bytes = 0
        self.outside_bytes = 0
        """What is kept for jobs outside of the core."""
        self.told: list[tuple[int, int, int]] = []
        """What lines did to marked jobs: a kind of note, an id or session, until when."""
        self.rooms: list[int] = []
        """Numbers of ruled and watched queues that kernels settled jobs of."""
        self.step_jobs = options.step_jobs or NEVER_MS
        self._error_chars_max = wire.error_chars_max
        self._free_sessions: list[int] = []
        self._sweep_at = _SESSIONS_SPARE
        self._set_up(wire)

    def act(self, verb: int, one: int = 0, two: int = 0, three: int = 0) -> int:
        """Run a kernel of `verbs`, and see to its notes."""
        result: int = act(self.memory.flat, verb, one, two, three)
        if self.memory.state[lo.S_NOTES]:
            self.take_notes()
        return result

    @property
    def delayed(self) -> int:
        """How many jobs are delayed."""
        return self.memory.state[lo.S_DELAYED] - self.memory.state[lo.S_STALE]

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
            if len(self.sessions) >= self._sweep_at:
                self._sweep_sessions()
            index = self._free_sessions.pop() if self._free_sessions else len(self.sessions)
            self.sessions[number] = index
            at = lo.SESSIONS_W + index * lo.SESSION_WORDS
            self.memory.words[at + lo.N_NUMBER] = number
        return index

    def _sweep_sessions(self) -> None:
        """Forget sessions that hold nothing, as those of a log do; they may come again."""
        words, width = self.memory.words, lo.SESSION_WORDS
        for number, index in list(self.sessions.items()):
            if number and not words[lo.SESSIONS_W + index * width + lo.N_LEASE]:
                self.forget_session(number)
        self._sweep_at = 2 * len(self.sessions) + _SESSIONS_SPARE

    def forget_session(self, number: int) -> None:
        """A session that holds nothing is over."""
        index = self.sessions.pop(number, None)
        if index is not None:
            self._free_sessions.append(index)

    def mark(self, slot: int, flags: int) -> None:
        """Note that Python keeps something for a job."""
        self.memory.halves[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] |= flags

    def unmark(self, slot: int, flags: int) -> None:
        """Take flags from a job."""
        self.memory.halves[lo.JOBS_H + slot * lo.JOB_HALVES + lo.JH_META] &= ~flags

    def set_error(self, job_id: int, slot: int, error: str | None) -> None:
        """Keep a job's last error."""
        self.keep_error(job_id, error)
        if error is not None:
            self.mark(slot, lo.META_NOTED)

    def keep_error(self, job_id: int, error: str | None) -> None:
        """Keep the last error of a job that is marked, or none."""
        old = self.errors.pop(job_id, None)
        if old is not None:
            self.text_bytes -= len(old)
        if error is not None:
            self.errors[job_id] = text = error.encode(errors="surrogatepass")
            self.text_bytes += len(text)

    def error(self, job_id: int) -> str | None:
        """Give a job's last error."""
        text = self.errors.get(job_id)
        return None if text is None else text.decode(errors="surrogatepass")

    def kept_bytes(self) -> int:
        """What all that Python keeps takes, here or for jobs elsewhere. O(1)."""
        queues = self.queues
        return (
            len(self.errors) * tally.ERROR_BYTES
            + self.text_bytes
            + len(self.deaths) * tally.DEATH_BYTES
            + len(self.large) * tally.LARGE_BYTES
            + self.large_bytes
            + len(self.counts) * tally.COUNT_BYTES
            + len(queues.by_name) * tally.QUEUE_BYTES
            + queues.name_bytes
            + (len(self.sessions) - 1) * tally.SESSION_BYTES
            + self.outside_bytes
        )

    def take_notes(self) -> None:
        """See to what kernels noted: jobs that are gone, errors that came in lines."""
        memory = self.memory
        count = memory.state[lo.S_NOTES]
        notes = memory.words[lo.NOTES_W : lo.NOTES_W + count * lo.NOTE_WORDS].tolist()
        memory.state[lo.S_NOTES] = 0
        for job_id, at, size in zip(notes[::3], notes[1::3], notes[2::3], strict=True):
            if at > 0:
                self.keep_error(job_id, self.error_text(at, size))
            elif at in _OF_HEAVY:
                self._count(job_id, at)
            elif at in _OF_MARKED:
                self.told.append((at, job_id, size))
            elif at == lo.NOTE_ROOM:
                self.rooms.append(job_id)
            else:
                self.keep_error(job_id, None)
                if at == lo.NOTE_SETTLED:
                    self.deaths.pop(job_id, None)
                    self.counts.pop(job_id, None)
                    self.drop_large(job_id)

    def _count(self, job_id: int, what: int) -> None:
        """Count a failure or a loss of a heavy job; the first is in its record already."""
        counts = self.counts.get(job_id)
        if counts is None:
            slot = self.find(job_id)
            lost = self.header(slot, lo.B_SIZES) >> lo.B_LOST_SHIFT
            failures = self.field(slot, lo.JH_ATTEMPTS) - lost
            self.counts[job_id] = Counts(failures, lost)
        elif what == lo.NOTE_FAILED:
            counts.failures = min(counts.failures + 1, COUNT_MAX)
        else:
            counts.lost = min(counts.lost + 1, COUNT_MAX)

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
        if len(ids) == 1:
            self.memory.scratch[0] = ids[0]
        else:
            self.memory.write_column(0, 1, len(ids), ids)

    def states_of(self, ids: Sequence[int], states: frozenset[JobState]) -> list[int]:
        """The states of jobs, MISSING_STATE of those in others, or named before."""
        self.write_ids(ids)
        fit = sum(1 << state for state in states)
        self.act(lo.V_CHOOSE_MANY, len(ids), fit)
        return self.scratch_list(len(ids))

    def scratch_list(self, count: int) -> list[int]:
        """The first words of scratch."""
        listed = self.memory.words[lo.SCRATCH_W : lo.SCRATCH_W + count].tolist()
        self.memory.trim_scratch(count)
        return listed

    def scratch_column(self, count: int) -> Sequence[int]:
        """The first words of scratch: a list, or if they are very many, what costs less."""
        if count <= _LIST_MAX:
            return self.scratch_list(count)
        return array("q", self.memory.words[lo.SCRATCH_W : lo.SCRATCH_W + count])

    def view(self, slot: int) -> JobView:
        """All that can be said of one job."""
        job_id = self.word(slot, lo.J_ID)
        state = self.state_of(slot)
        attempts = self.field(slot, lo.JH_ATTEMPTS)
        lost = self.header(slot, lo.B_SIZES) >> lo.B_LOST_SHIFT
        counts = self.counts.get(job_id)
        if counts is None:
            counts = Counts(attempts - lost - (state is JobState.ACTIVE), lost)
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
            failures=counts.failures,
            lost=counts.lost,
            max_attempts=self.header(slot, lo.B_MAX_ATTEMPTS),
            error=self.error(job_id),
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
        state[lo.S_ERROR_CHARS_MAX] = wire.error_chars_max
        state[lo.S_LEASE] = wire.lease_ms
        state[lo.S_MAX_ATTEMPTS] = min(wire.max_attempts, COUNT_MAX)
        state[lo.S_BACKOFF] = min(wire.backoff_ms, options.backoff_ms_max)
        state[lo.S_HASH_SEED] = options.hash_seed
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

    def count_from_now(self, job_id: int) -> None:
        """Have Python count the failures and losses of an active job from here on.

        Its attempts do not tell them any more, once it has been released.
        """
        if job_id not in self.counts:
            job = self.view(self.find(job_id))
            self.keep_counts(job_id, job.failures, job.lost)

    def keep_counts(self, job_id: int, failures: int, lost: int) -> None:
        """Keep what a job's record does not tell."""
        self.counts[job_id] = Counts(min(failures, COUNT_MAX), min(lost, COUNT_MAX))
        self.mark(self.find(job_id), lo.META_COUNTED | lo.META_NOTED)

    def forget_counts(self, job_id: int) -> None:
        """Let a job be counted anew, by its record."""
        if self.counts.pop(job_id, None) is not None:
            self.unmark(self.find(job_id), lo.META_COUNTED)

    def keep_large(self, queue: Queue, job_id: int, payload: bytes) -> None:
        """Keep a payload that is too long for the arena."""
        self.large[job_id] = (payload, queue)
        self.mark(self.find(job_id), lo.META_LARGE | lo.META_NOTED)
        self.memory.words[queue.at + lo.Q_LARGE] += 1
        self.memory.state[lo.S_PAYLOAD_BYTES] += len(payload)
        self.large_bytes += len(payload)

    def drop_large(self, job_id: int) -> bool:
        """Forget a payload that was too long for the arena; gives whether there was one."""
        kept = self.large.pop(job_id, None)
        if kept is not None:
            payload, queue = kept
            self.memory.words[queue.at + lo.Q_LARGE] -= 1
            self.memory.state[lo.S_PAYLOAD_BYTES] -= len(payload)
            self.large_bytes -= len(payload)
        return kept is not None
