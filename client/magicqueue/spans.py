"""Spans of time as people write them: "500ms", "30s", "1.5h", "1h30m", "2d".

The command line, the server's options, its environment and its config file all read them
here. Parts go from the larger unit to the smaller, and only the last may have a fraction.
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from magicqueue.wire.limits import ID_MAX

_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(min|ms|s|m|h|d)\s*")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")


def span_ms(text: str, *, plain_ms: int | None = None) -> int:
    """Read a span as whole milliseconds, halves rounded up.

    plain_ms: what 1 means without a unit; None: only 0 needs none. Raises ValueError that
    says what the text must be.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):
        span = _whole(Decimal(text) * (plain_ms or 1))
        if span and plain_ms is None:
            raise ValueError(f'needs a unit: "{text}s" or "{text}ms"')
        return span
    total = Decimal(0)
    smaller_than_ms = ID_MAX
    at = 0
    while match := _PART.match(text, at):
        unit_ms = _UNITS_MS["m" if match[2] == "min" else match[2]]
        is_last = match.end() == len(text)
        if unit_ms >= smaller_than_ms or ("." in match[1] and not is_last):
            break
        total += Decimal(match[1]) * unit_ms
        smaller_than_ms, at = unit_ms, match.end()
        if is_last:
            return _whole(total)
    raise ValueError('must be a span of time such as "500ms", "30s", "5m", "1h30m" or "2d"')


def _whole(span: Decimal) -> int:
    if span > ID_MAX:
        raise ValueError(f"must be at most {ID_MAX}ms")
    return int(span.quantize(Decimal(1), ROUND_HALF_UP))
