"""What workers tell of their jobs."""

from collections.abc import Sequence

from magicqueue.runner import Runner


class WorkerCounts:
    """A worker's counts, for anyone to read at any time."""

    _runner: Runner

    @property
    def _runners(self) -> Sequence[Runner]:
        """What holds the jobs that are counted."""
        return (self._runner,)

    @property
    def held(self) -> int:
        """Jobs pulled and not settled yet."""
        return sum(len(runner.held) for runner in self._runners)

    @property
    def completed(self) -> int:
        """Jobs whose handler returned, so far."""
        return sum(runner.completed for runner in self._runners)

    @property
    def failed(self) -> int:
        """Jobs whose handler raised, or ran into its time limit, so far."""
        return sum(runner.failed for runner in self._runners)

    @property
    def released(self) -> int:
        """Jobs given back unstarted or cut off, so far."""
        return sum(runner.released for runner in self._runners)

    @property
    def cancelled(self) -> int:
        """Jobs that were cancelled, and ended by that, so far."""
        return sum(runner.cancelled for runner in self._runners)

    @property
    def lost(self) -> int:
        """Jobs that were not the worker's any more when they were finished, so far."""
        return sum(runner.lost for runner in self._runners)
