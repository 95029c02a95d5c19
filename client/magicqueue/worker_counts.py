"""What both workers tell of their jobs."""

from magicqueue.runner import Runner


class WorkerCounts:
    """A worker's counts, for anyone to read at any time."""

    _runner: Runner

    @property
    def held(self) -> int:
        """Jobs pulled and not settled yet."""
        return len(self._runner.held)

    @property
    def completed(self) -> int:
        """Jobs whose handler returned, so far."""
        return self._runner.completed

    @property
    def failed(self) -> int:
        """Jobs whose handler raised, or ran into its time limit, so far."""
        return self._runner.failed

    @property
    def released(self) -> int:
        """Jobs given back unstarted or cut off, so far."""
        return self._runner.released

    @property
    def cancelled(self) -> int:
        """Jobs that were cancelled, and ended by that, so far."""
        return self._runner.cancelled

    @property
    def lost(self) -> int:
        """Jobs that were not the worker's any more when they were finished, so far."""
        return self._runner.lost
