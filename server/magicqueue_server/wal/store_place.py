"""The log of a server in an engine beyond this machine: taken over, read, and held on to.

A server that finds another one at work waits until that ends, or is not heard of for the
length of the lease; so the same command, started on two machines, is an owner and one that
stands by. From then on the engine hears that it lives: from a thread of its own while the
log is read, which may take longer than a lease, and then from the log's thread.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from magicqueue_server.logs import event
from magicqueue_server.randomness import salt
from magicqueue_server.wal.journal import DiskFull, StoreFacts, StoreFailed
from magicqueue_server.wal.recovery import Progress, Recovered, Replays, recover
from magicqueue_server.wal.store import Held, LogStore, Owned
from magicqueue_server.wal.store_folder import StoreFolder
from magicqueue_server.wal.store_journal import StoreJournal
from magicqueue_server.wal.tasks import Tasks
from magicqueue_server.wal.verdict import Refused

BEATS_A_LEASE: Final = 3
_WAIT_MS: Final = 200

_log = logging.getLogger("magicqueue.wal")


class StorePlace:
    """See above. sleep: waits for some milliseconds. promise: what a reply means."""

    def __init__(
        self,
        store: LogStore,
        *,
        lease_ms: int,
        segment_bytes: int,
        now_ms: Callable[[], int],
        sleep: Callable[[int], None],
        promise: str = "",
    ) -> None:
        self.name = store.name
        self.promise = promise
        self._store = store
        self._beat_ms = max(1, lease_ms // BEATS_A_LEASE)
        self._segment_bytes = segment_bytes
        self._now_ms = now_ms
        self._sleep = sleep

    def recover(self, core: Replays, progress: Progress | None = None) -> Recovered:
        """Take the log over and fill a new core with it; raises Refused or OSError."""
        segments = self._take_over()
        with self._alive():
            folder = StoreFolder(segments, self._store.read, self._store.name)
            return recover(folder, core, progress)

    def begin(self, found: Recovered) -> StoreJournal:
        """Begin to write behind what was found; raises Refused or OSError."""
        journal = StoreJournal(
            self._store,
            found.segments,
            lsn=found.lsn,
            segment_bytes=self._segment_bytes,
            salts=salt,
            now_ms=self._now_ms,
        )
        try:
            journal.begin(found.last_id, found.sequence)
        except DiskFull as error:
            raise Refused(f"{self._store.name} has no room ({error}): make some") from None
        return journal

    def tend(self, tasks: Tasks, fail: Callable[[BaseException], None]) -> None:
        """Have the engine hear of this server as long as it lives."""

        def done(error: BaseException | None) -> None:
            if isinstance(error, DiskFull):  # it cannot even note that
                tasks.later(self._beat_ms, look)
            elif error is not None:
                fail(error)
            else:
                look()

        def look() -> None:
            left_ms = self._beat_ms - self._store.quiet_ms
            if left_ms > 0:
                tasks.later(left_ms, look)
                return
            tasks.run(self._store.append, done)

        look()

    def facts(self) -> StoreFacts | None:
        """Return what is known of the engine."""
        return self._store.facts()

    def close(self) -> None:
        """Let the next server have it."""
        self._store.close()

    def _take_over(self) -> list[Held]:
        told = False
        while True:
            try:
                return self._store.take_over()
            except Owned as error:
                if not told:
                    event(
                        _log,
                        logging.WARNING,
                        "another server has the log: waiting until it ends",
                        log=self._store.name,
                        owner=error,
                    )
                    told = True
                self._sleep(_WAIT_MS)

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Have the engine hear of this server from a thread. Raises StoreFailed."""
        over = threading.Event()
        failed: list[BaseException] = []

        def beat() -> None:
            try:
                while not over.wait(self._beat_ms / 1000):
                    self._store.append()
            except (StoreFailed, DiskFull) as error:
                failed.append(error)

        thread = threading.Thread(target=beat, name="owner", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failed and isinstance(failed[0], StoreFailed):
            raise failed[0]
