"""How far active jobs are, in their workers' words: volatile and bounded."""

from collections import OrderedDict
from typing import Final

from magicqueue_cores.contract import NEVER_MS
from magicqueue_cores.policies.answers import Progress
from magicqueue_cores.policies.moments import Tally
from magicqueue_cores.policies.options import PolicyOptions

PROGRESS_BYTES: Final = 300
"""What a word of progress takes beside its note."""


class Notebook:
    """The last word of each job's worker; over a bound the oldest goes first."""

    def __init__(self, tally: Tally, options: PolicyOptions) -> None:
        """Start empty."""
        self._tally = tally
        self._words: OrderedDict[int, Progress] = OrderedDict()
        self._most = options.progress_max or NEVER_MS
        self._bytes_most = options.progress_bytes_max or NEVER_MS
        self.bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._words)

    def get(self, job_id: int) -> Progress | None:
        """Return the last word about a job."""
        return self._words.get(job_id)

    def put(self, job_id: int, word: Progress) -> None:
        """Keep a word in place of the last one. O(1)."""
        self.drop(job_id)
        self._words[job_id] = word
        self._count(word, 1)
        while len(self._words) > self._most or self.bytes > self._bytes_most:
            _, word = self._words.popitem(last=False)
            self._count(word, -1)
            self.dropped += 1

    def drop(self, job_id: int) -> None:
        """Forget what was said of a job, if something was. O(1)."""
        word = self._words.pop(job_id, None)
        if word is not None:
            self._count(word, -1)

    def check(self, known: set[int]) -> None:
        """Verify that words are about these jobs: AssertionError says if not."""
        assert self._words.keys() <= known, "progress of a job that is not marked"
        assert self.bytes == sum(map(_size, self._words.values())), "progress: bytes"

    def _count(self, word: Progress, by: int) -> None:
        size = _size(word)
        self.bytes += by * size
        self._tally.size += by * (PROGRESS_BYTES + size)


def _size(word: Progress) -> int:
    return len((word.note or "").encode(errors="surrogatepass"))
