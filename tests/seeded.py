"""Faults put into the code on purpose: whether the detectors of a suite notice them."""

from collections.abc import Callable, Iterable, Iterator


def noticed(
    detectors: Iterable[Callable[[], None]], *errors: type[BaseException]
) -> Iterator[str]:
    """Run detectors, and say what each of them that fails noticed.

    errors: what one that fails may raise besides.
    """
    shown: tuple[type[BaseException], ...] = (AssertionError, KeyError, *errors)
    for detector in detectors:
        try:
            detector()
        except shown as caught:
            yield f"{detector.__name__}: {caught}"
