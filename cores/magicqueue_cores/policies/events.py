"""Events: rare turns of jobs, of queues and of what policies keep, told to one listener.

What befalls a job is a record of the core, whatever decided it, so the core tells of it
(see `turns`, whose table says what is told). What policies do that no job's record says is
told here by `tell`. While nobody listens nothing is made.
"""

from typing import Final

from magicqueue_cores.contract import Core
from magicqueue_cores.turns import KINDS as KINDS_OF_JOBS
from magicqueue_cores.turns import Turn, TurnSink

CRON: Final = "cron"
"""A schedule came to its time."""
KINDS: Final = KINDS_OF_JOBS | {CRON}


class Events:
    """Tells of turns while somebody listens."""

    def __init__(self, core: Core) -> None:
        """Tell nobody yet."""
        self._core = core
        self._sink: TurnSink | None = None
        self.subscribers = 0
        """Who is told of them, in the end, as whoever listens here says."""
        self.dropped = 0
        """How many were not told since they were not read."""

    def listen(self, sink: TurnSink | None) -> None:
        """Tell `sink` from now on, None: nobody. It must not call back."""
        self._sink = sink
        self._core.listen(sink)

    def tell(self, turn: Turn) -> None:
        """Tell of something that is no record of the core."""
        if self._sink is not None:
            self._sink(turn)
