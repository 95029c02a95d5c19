"""Answers that come later, without an event loop in sight.

A core on a remote engine answers with a `Pending` and settles it when its engine has
spoken; a test settles it by hand. A local core never makes one.
"""

from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """An answer that comes later: settled once, with a value or an error."""

    __slots__ = ("_callback", "_error", "_settled", "_value")

    def __init__(self) -> None:
        """Start unsettled."""
        self._settled = False
        self._value: T | None = None
        self._error: Exception | None = None
        self._callback: Callable[[Pending[T]], None] | None = None

    def resolve(self, value: T) -> None:
        """Settle with a value; whoever waits is called at once."""
        self._settle(value, None)

    def reject(self, error: Exception) -> None:
        """Settle with an error, to be raised by `result`."""
        self._settle(None, error)

    def result(self) -> T:
        """The value; raises the error given to `reject`. Only after it is settled."""
        if self._error is not None:
            raise self._error
        if not self._settled:
            msg = "Pending.result() was called before the answer was there"
            raise RuntimeError(msg)
        return self._value  # type: ignore[return-value]  # a settled value is a T

    def then(self, callback: "Callable[[Pending[T]], None]") -> None:
        """Call `callback(self)` when settled (now, if it is); there is one callback."""
        if self._settled:
            callback(self)
        else:
            self._callback = callback

    def _settle(self, value: T | None, error: Exception | None) -> None:
        if self._settled:
            msg = "Pending was settled twice"
            raise RuntimeError(msg)
        self._settled, self._value, self._error = True, value, error
        if self._callback is not None:
            self._callback(self)


Answer: TypeAlias = T | Pending[T]


def map_answer(answer: Answer[T], use: Callable[[T], U]) -> Answer[U]:
    """Apply `use` to an answer, now or when it is there; its errors reject the result."""
    if not isinstance(answer, Pending):
        return use(answer)
    mapped: Pending[U] = Pending()

    def settle(settled: Pending[T]) -> None:
        try:
            value = use(settled.result())
        except Exception as error:  # noqa: BLE001 - whoever waits shall have it, whatever it is
            mapped.reject(error)
        else:
            mapped.resolve(value)

    answer.then(settle)
    return mapped
