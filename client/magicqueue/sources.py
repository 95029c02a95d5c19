"""What a worker, or a queue that only pulls, takes its jobs from: one queue, or several."""

from dataclasses import dataclass
from typing import Final, TypeAlias, get_args

import orjson

from magicqueue import readers
from magicqueue.wire.fields import check_queue
from magicqueue.wire.limits import PULL_QUEUES_MAX
from magicqueue.wire.values import Order

Names: TypeAlias = str | list[str] | tuple[str, ...]
"""A queue's name, or those of several."""
MULTI_PULL: Final = "multi_pull"
STRICT: Final[Order] = "strict"


@dataclass(frozen=True, slots=True)
class Source:
    """Queues by name, as they are tried; turns: each comes first in its turn."""

    names: tuple[str, ...]
    turns: bool = False

    @property
    def one(self) -> str:
        """Give the name of the queue. Raises ValueError where there are several."""
        if len(self.names) == 1:
            return self.names[0]
        raise ValueError(
            f"this is several queues ({self}), and jobs can only be pulled of those: make"
            " a queue of the one that you mean"
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """What a server has to be able to do."""
        return () if len(self.names) == 1 else (MULTI_PULL,)

    def __str__(self) -> str:
        return ", ".join(self.names)

    def field(self) -> bytes:
        """Write what a pull says of it."""
        if len(self.names) == 1:
            return b'"queue":' + orjson.dumps(self.names[0])
        order = b',"order":"turns"' if self.turns else b""
        return b'"queues":%b%b' % (orjson.dumps(self.names), order)


def source_of(names: Names, order: Order = STRICT) -> Source:
    """Check names. Raises TypeError, ValueError, or BadRequest for one that cannot be."""
    if order not in get_args(Order):
        raise ValueError(f"order is {order!r}: it must be 'strict' or 'turns'")
    if isinstance(names, str):
        return Source((queue_name(names),))
    if not isinstance(names, list | tuple):
        raise TypeError(
            f"a queue's name is a string, or a list of them, not {type(names).__name__}"
        )
    if not 1 <= len(names) <= PULL_QUEUES_MAX:
        raise ValueError(f"give 1 to {PULL_QUEUES_MAX} queues, not {len(names)}")
    return Source(tuple(map(queue_name, names)), order == "turns")


def queue_name(name: str) -> str:
    """Check a queue's name. Raises TypeError, or BadRequest as the server would."""
    if not isinstance(name, str):
        raise TypeError(f"a queue's name is a string, not {type(name).__name__}")
    return check_queue(name, readers.NAME_BYTES_MAX)
