"""Which live job holds a unique key. Keys are a queue's own."""


class Keys:
    """Unique keys by queue, each with its holder. All is O(1)."""

    __slots__ = ("_by_queue", "count")

    def __init__(self) -> None:
        """Start empty."""
        self._by_queue: dict[str, dict[str, int]] = {}
        self.count = 0

    def holder(self, queue: str, key: str) -> int | None:
        """Return the job that holds a key."""
        held = self._by_queue.get(queue)
        return None if held is None else held.get(key)

    def take(self, queue: str, key: str, job_id: int) -> None:
        """Give a key that nobody holds to a job."""
        held = self._by_queue.get(queue)
        if held is None:
            held = self._by_queue[queue] = {}
        assert key not in held, f"unique key {key!r} of {queue!r} is held"
        held[key] = job_id
        self.count += 1

    def release(self, queue: str, key: str) -> None:
        """Let a key go that is held."""
        held = self._by_queue[queue]
        del held[key]
        self.count -= 1
        if not held:
            del self._by_queue[queue]

    def check(self, expected: dict[tuple[str, str], int]) -> None:
        """Verify that these are held, and no others: AssertionError says if not."""
        here = {
            (queue, key): job_id
            for queue, held in self._by_queue.items()
            for key, job_id in held.items()
        }
        assert here == expected, "unique keys are not held by the jobs that say so"
        assert self.count == len(here), "unique keys miscounted"
        assert all(self._by_queue.values()), "a queue without keys is kept"
