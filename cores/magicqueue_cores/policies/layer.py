"""`Policies`: what the server knows of marked jobs, above any core."""

from collections.abc import Callable, Sequence

from magicqueue_cores.contract import Core, Delivery, NewJobs, RecordSink, Settled, Step
from magicqueue_cores.policies.answers import (
    Beats,
    Cancelled,
    Ending,
    Failures,
    Known,
    PolicyStats,
    PushAnswer,
)
from magicqueue_cores.policies.options import PolicyOptions
from magicqueue_cores.policies.wishes import Wishes
from magicqueue_cores.records import Kept, Record


class Policies:
    """A deterministic layer above a core: no clock, no randomness, no I/O.

    Whoever has one calls the core directly for what concerns no wishes, and then
    `settle(now_ms)` if `pending`, before the next command and in the same frame of the log.
    Verbs that are here are called here, for all jobs. `advance` is called before any verb
    with a `now_ms` that has reached `next_deadline_ms`, the core's own verbs included.
    record: the core's own sink.
    """

    pending: bool
    """Something befell a marked job, so that `settle` has to be called. A cheap test."""
    lagging: bool
    """Time-to-lives that have ended are still being dealt with, step by step: until that is
    done pulls go through `pull`, and no line may pull by itself."""
    on_end: Callable[[int], None]
    """Told of each job with `keep_result_ms` that ended or died; must not call back."""
    on_doomed: Callable[[int], None]
    """Told of each job that was cancelled while at work; must not call back."""
    next_deadline_ms: int
    """Nothing happens by itself before this (a lower bound), the core's own included; at or
    before the present if there is more to do at once."""
    fact_bytes: int
    """The bytes of the keys and values of all facts that are kept."""
    mark_bytes: int
    """About the bytes of the texts of all marks."""

    def __init__(
        self, core: Core, options: PolicyOptions, record: RecordSink | None = None
    ) -> None:
        """Observe a core, which must be new. Raises ValueError if not `available`."""
        raise NotImplementedError

    @staticmethod
    def available(core: Core) -> bool:
        """Whether policies can be above this core: it answers at once."""
        raise NotImplementedError

    def advance(self, now_ms: int) -> None:
        """Let time pass, moment by moment: the core first, then what ends here.

        At one moment: time-to-lives, time-outs, windows of keys, results, request keys.
        """
        raise NotImplementedError

    def end_leases(self, until_ms: int, now_ms: int) -> bool:
        """As the core's, which this calls; cancelled jobs end by it as such."""
        raise NotImplementedError

    def close_session(self, session: int, now_ms: int) -> bool:
        """As the core's, which this calls; cancelled jobs end by it as such."""
        raise NotImplementedError

    def push(
        self,
        queue: str,
        jobs: NewJobs,
        wishes: Sequence[Wishes | None] | None,
        req_key: str | None,
        now_ms: int,
    ) -> PushAnswer:
        """Store a batch, as if its items came one by one, or none of it.

        Raises `Full`, `Duplicate`, `BadRepeat`, or `BadWish` (a job would expire before
        it may run).
        """
        raise NotImplementedError

    def pull(
        self,
        queue: str,
        count: int,
        payload_bytes_max: int,
        lease_ms: int,
        session: int,
        now_ms: int,
    ) -> Delivery:
        """As the core's. While `lagging`, none of a queue with time-to-lives is given."""
        raise NotImplementedError

    def ack(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        results: Sequence[bytes | None] | None,
        now_ms: int,
    ) -> Settled:
        """As the core's, with each job's result. Raises `TooLarge`; nothing is done then."""
        raise NotImplementedError

    def fail(
        self,
        ids: Sequence[int],
        attempts: Sequence[int] | None,
        errors: Sequence[str | None],
        now_ms: int,
        delays_ms: Sequence[int | None] | None = None,
    ) -> Failures:
        """As the core's; cancelled jobs end as such, and are not retried."""
        raise NotImplementedError

    def release(
        self, ids: Sequence[int], attempts: Sequence[int] | None, delay_ms: int, now_ms: int
    ) -> Settled:
        """As the core's; cancelled jobs end as such."""
        raise NotImplementedError

    def heartbeat(
        self, ids: Sequence[int], attempts: Sequence[int] | None, lease_ms: int, now_ms: int
    ) -> Beats:
        """As the core's, and which of the jobs are cancelled."""
        raise NotImplementedError

    def cancel(self, ids: Sequence[int], now_ms: int) -> Cancelled:
        """Remove jobs that wait, and flag those at work: they do not run again."""
        raise NotImplementedError

    def promote(self, ids: Sequence[int], now_ms: int) -> Settled:
        """As the core's."""
        raise NotImplementedError

    def progress(  # noqa: PLR0913 - what a worker says at once
        self,
        job_id: int,
        attempt: int,
        percent: float | None,
        note: str | None,
        lease_ms: int | None,
        now_ms: int,
    ) -> Settled:
        """Keep how far an active job is, until it is settled; with a lease, extend it.

        attempt: as in `ack`, 0 for whichever. It is not recorded.
        """
        raise NotImplementedError

    def drain(self, queue: str, now_ms: int, upto: int | None = None) -> Step:
        """As the core's."""
        raise NotImplementedError

    def retry_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """As the core's; keys are taken again, and time-to-lives begin anew.

        Of one job whose key is held: raises `Duplicate`. Of a queue, such jobs stay dead.
        """
        raise NotImplementedError

    def purge_dead(
        self, queue: str | None, job_id: int | None, now_ms: int, upto: int | None = None
    ) -> Step:
        """As the core's."""
        raise NotImplementedError

    def ending(self, job_id: int, now_ms: int) -> Ending | None:
        """Return how a job ended, if that is kept or the job is dead (of any job)."""
        raise NotImplementedError

    def waits_for(self, job_id: int) -> bool:
        """Return whether a job has not ended yet and its end will be kept: see `on_end`."""
        raise NotImplementedError

    def job_of(self, queue: str, req_key: str, now_ms: int) -> int | None:
        """Return the id that a push of one job with this request key was answered with."""
        raise NotImplementedError

    def known_of(self, job_id: int) -> Known:
        """Return what is known of a job that is here."""
        raise NotImplementedError

    def settle(self, now_ms: int) -> None:
        """Do and record what follows from what verbs of the core did: ends, time-outs."""
        raise NotImplementedError

    def replay(self, record: Record) -> None:
        """Apply what happened once before, to the core and here."""
        raise NotImplementedError

    def export(self, ids: Sequence[int]) -> Sequence[Record]:
        """Tell the whole state of those of `ids` that are here: `Moved`, then `Marked`."""
        raise NotImplementedError

    def export_facts(self, space: str, keys: Sequence[bytes]) -> Kept:
        """Tell those of the facts that still hold, in the order given."""
        raise NotImplementedError

    def stats(self) -> PolicyStats:
        """Count what is kept. O(1)."""
        raise NotImplementedError

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        raise NotImplementedError
