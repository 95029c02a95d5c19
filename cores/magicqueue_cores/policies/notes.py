"""What has to follow from what befell marked jobs, once the verb is over."""

from magicqueue_cores.policies.wishes import Mark


class Notes:
    """What has to follow from what befell marked jobs, in order."""

    __slots__ = ("back", "ended", "handed", "live", "pending", "telling")

    def __init__(self) -> None:
        """Start empty."""
        self.live = True
        """Nothing follows from what is replayed: that was recorded, too."""
        self.telling: set[str] = set()
        """Queues that began or ended to have jobs of which a pull tells more."""
        self._start()

    def take(self) -> tuple[list[int], list[int], list[tuple[int, Mark, str]]]:
        """Return what is noted, and start anew: handed out, back again, and ended jobs."""
        taken = self.handed, self.back, self.ended
        self._start()
        return taken

    def note_back(self, job_id: int) -> None:
        """A job is back that may not run again."""
        if self.live:
            self.back.append(job_id)
            self.pending = True

    def note_end(self, job_id: int, mark: Mark, how: str) -> None:
        """A job ended whose end may be kept."""
        if self.live:
            self.ended.append((job_id, mark, how))
            self.pending = True

    def _start(self) -> None:
        self.handed: list[int] = []
        self.back: list[int] = []
        self.ended: list[tuple[int, Mark, str]] = []
        self.pending = False
