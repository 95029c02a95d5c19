"""What a worker tells the server of jobs: that they are done, have failed, or go back."""

from collections.abc import Iterator, Sequence

import msgspec

from magicqueue.failures import Failure
from magicqueue.job import Job
from magicqueue.protocol import Command


class Verdict(msgspec.Struct, frozen=True, eq=False):
    """One request that settles jobs, or gives them back."""

    jobs: Sequence[Job]
    command: Command[list[int]]
    failures: Sequence[Failure] = ()
    """What it says, where it says that jobs have failed."""
    gives_back: bool = False


def by_needs(failures: Sequence[Failure]) -> Iterator[Sequence[Failure]]:
    """Part those that an older server could not take from the others."""
    special = [told for told in failures if told.is_special]
    plain = [told for told in failures if not told.is_special]
    if plain:
        yield plain
    if special:
        yield special
