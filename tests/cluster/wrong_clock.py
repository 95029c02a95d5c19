"""A machine's clock that is wrong, and steps: in a server's process, before it starts."""

import time
from typing import Final

from magicqueue_server import clock

HOUR_S: Final = 3600.0


def wrong_by(error_s: float, later_error_s: float, after_s: float) -> None:
    """Have the wall clock be ahead by `error_s`, and by `later_error_s` after a while."""
    real = clock._wall_offset_ns
    step_at = time.monotonic() + after_s

    def offset_ns() -> int:
        error = error_s if time.monotonic() < step_at else later_error_s
        return real() + int(error * 1e9)

    clock._wall_offset_ns = offset_ns
