"""What a worker tells the server of jobs: that they are done, have failed, or go back."""

from collections.abc import Iterator, Sequence

import msgspec

from magicqueue import commands, job_commands
from magicqueue.failures import Failure
from magicqueue.job import Job
from magicqueue.limits import throttle_for
from magicqueue.protocol import Command
from magicqueue.results import Results


class Verdict(msgspec.Struct, frozen=True, eq=False):
    """One request that settles jobs, or gives them back."""

    jobs: Sequence[Job]
    command: Command[list[int]]
    failures: Sequence[Failure] = ()
    """What it says, where it says that jobs have failed."""
    gives_back: bool = False
    results: Sequence[bytes] = ()
    """What came of each job, where it says that."""
    throttle_ms: int = 0
    """For how long it has the queue wait; the jobs go back after that."""

    def one_by_one(self) -> Sequence["Verdict"]:
        """Say it anew of each job alone: one of its results was refused."""
        pairs = zip(self.jobs, self.results, strict=True)
        return [_with_results([job], [result]) for job, result in pairs]


def verdicts_on(done: Sequence[Job], results: Results) -> Sequence[Verdict]:
    """Say that jobs are done: those without a result in the quickest way there is."""
    bare, others = results.part(done)
    said = [Verdict(bare, commands.ack(bare, repeat=True))] if bare else []
    return said + [_with_results(jobs, some) for jobs, some in others]


def verdict_on_throttled(jobs: Sequence[Job], for_ms: int, group: str | None) -> Verdict:
    """Say that the queue of jobs, or a group, is to wait; `given_back` follows then."""
    return Verdict(jobs, throttle_for(jobs[0].queue, for_ms, group), throttle_ms=for_ms)


def given_back(jobs: Sequence[Job], delay_ms: int = 0) -> Verdict:
    """Say that jobs go back, neither done nor failed."""
    command = commands.release(jobs, delay_ms, repeat=True)
    return Verdict(jobs, command, gives_back=True)


def verdict_on_cancelled(jobs: Sequence[Job]) -> Verdict:
    """Say that cancelled jobs have ended; the server knows how."""
    failures = [Failure(job, "cancelled") for job in jobs]
    return Verdict(jobs, commands.fail(failures, repeat=True))


def _with_results(jobs: Sequence[Job], results: Sequence[bytes]) -> Verdict:
    command = job_commands.ack_with_results(jobs, results, repeat=True)
    return Verdict(jobs, command, results=results)


def by_needs(failures: Sequence[Failure]) -> Iterator[Sequence[Failure]]:
    """Part those that an older server could not take from the others."""
    special = [told for told in failures if told.is_special]
    plain = [told for told in failures if not told.is_special]
    if plain:
        yield plain
    if special:
        yield special
