"""Commands about very many things: a step of them a turn, one reply at the end.

The session that sent one is parked until its reply is there, as one whose core answers
later; everybody else has turns between the steps. Commands that change one queue as a whole
go one after the other, so that each tells the whole count of what was there when it began.
A command goes on to its end if its connection closes meanwhile.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from magicqueue_cores.contract import Step
from magicqueue_cores.pending import Answer, Pending, map_answer

Go: TypeAlias = Callable[[int], Answer[bytes | None]]
"""Takes a step at a time in milliseconds; gives the reply, or None if there is more."""


class LongCommands:
    """Those at work. `later` has a function called with the time in a later round."""

    def __init__(self) -> None:
        self.later: Callable[[Callable[[int], None]], None] = lambda _: None
        self._lines: Final[dict[str, deque[tuple[Go, Pending[bytes]]]]] = {}

    def run(self, go: Go, now_ms: int, queue: str | None = None) -> Answer[bytes]:
        """Take steps until there is a reply, the first one now.

        queue: what it changes; it waits until others that change the same are done.
        """
        reply: Pending[bytes] = Pending()
        if queue is not None:
            line = self._lines.setdefault(queue, deque())
            line.append((go, reply))
            if len(line) > 1:
                return reply
        self._go(go, reply, queue, now_ms)
        return reply

    def _go(self, go: Go, reply: Pending[bytes], queue: str | None, now_ms: int) -> None:
        def settle(settled: Pending[bytes | None]) -> None:
            try:
                text = settled.result()
            except Exception as error:  # noqa: BLE001 - whoever waits shall have it, whatever it is
                self._next(queue)
                reply.reject(error)
            else:
                if text is None:
                    self.later(lambda now_ms: self._go(go, reply, queue, now_ms))
                else:
                    self._next(queue)
                    reply.resolve(text)

        settled: Answer[bytes | None]
        try:
            settled = go(now_ms)
        except Exception as error:  # noqa: BLE001 - as above
            answer: Pending[bytes | None] = Pending()
            answer.reject(error)
            settled = answer
        if not isinstance(settled, Pending):
            answer = Pending()
            answer.resolve(settled)
            settled = answer
        settled.then(settle)

    def _next(self, queue: str | None) -> None:
        """Begin the command that waited for the one that is done."""
        if queue is None:
            return
        line = self._lines[queue]
        line.popleft()
        if line:
            go, reply = line[0]
            self.later(lambda now_ms: self._go(go, reply, queue, now_ms))
        else:
            del self._lines[queue]


def counting(
    step: Callable[[int, int | None], Answer[Step]], reply: Callable[[int], bytes]
) -> Go:
    """Make steps of a core's verb that ends with a reply of how many jobs it was about."""
    count, upto = 0, None

    def add(done: Step) -> bytes | None:
        nonlocal count, upto
        count, upto = count + done.count, done.upto
        return reply(count) if upto is None else None

    return lambda now_ms: map_answer(step(now_ms, upto), add)
