"""Which live job holds a unique key. Keys are a queue's own."""

from collections.abc import Iterable, Mapping


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

    def held(self, queue: str) -> Mapping[str, int]:
        """Return the keys of a queue that are held now, with their holders."""
        return self._by_queue.get(queue, {})

    def take(self, queue: str, key: str, job_id: int) -> None:
        """Give a key that nobody holds to a job."""
        assert key not in self.held(queue), f"unique key {key!r} of {queue!r} is held"
        self.take_all(queue, {key: job_id})

    def take_all(self, queue: str, holders: dict[str, int]) -> None:
        """Give keys that nobody holds to jobs. O(1) each."""
        held = self._by_queue.get(queue)
        if held is None:
            held = self._by_queue[queue] = {}
        before = len(held)
        held.update(holders)
        self.count += len(holders)
        assert len(held) == before + len(holders), f"unique keys of {queue!r} are held"

    def release(self, queue: str, key: str) -> None:
        """Let a key go that is held."""
        self.release_all(queue, (key,))

    def release_all(self, queue: str, keys: Iterable[str]) -> None:
        """Let keys go that are held. O(1) each."""
        held = self._by_queue[queue]
        before = len(held)
        for key in keys:
            del held[key]
        self.count -= before - len(held)
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
