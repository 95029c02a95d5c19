"""Faults, for the controls: put into a server's process before it starts."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from magicqueue_server.wal import store, store_postgres

HELD: Final = 6
"""So many appends that were acknowledged are lost in a kill."""


def forget_the_epoch() -> None:
    """Append behind whatever is there, and take any epoch for one's own."""
    named = "where shard = %(log)s and epoch = %(epoch)s and tail = %(tail)s"
    append = store_postgres._APPEND
    append = append.replace(f"{named} returning 1", "where shard = %(log)s returning tail")
    append = append.replace(
        "%(tail)s + n", "own.tail - cardinality(%(bodies)b::bytea[]) + n"
    )
    for name, text in {
        "_APPEND": append,
        "_LIVES": store_postgres._LIVES.replace(named, "where shard = %(log)s"),
    }.items():
        assert text != getattr(store_postgres, name)
        setattr(store_postgres, name, text)


def answer_early() -> None:
    """Say that an append is done, and do it some appends later."""
    real = store.LogStore.append
    waiting: deque[Sequence[store.Row]] = deque()

    def append(self: store.LogStore, rows: Sequence[store.Row] = ()) -> None:
        if not rows:
            real(self)
            return
        waiting.append(rows)
        if len(waiting) > HELD:
            real(self, waiting.popleft())

    store.LogStore.append = append  # type: ignore[method-assign]  # that is the fault
