"""How often to try, and how long to wait before connecting again: exponential, with jitter.

The wait doubles from `FIRST_S` to `LONGEST_S`; of it one half is certain and the other
random, so that a thousand workers whose server comes back do not come back at once
("equal jitter" in M. Brooker, Exponential Backoff And Jitter, AWS 2015). The client's
only randomness is in `next_wait_s`.
"""

import random
from typing import Final

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0
TRIES_MAX: Final = 3
"""A repeatable call is sent this often before a lost connection is its error."""
_DOUBLINGS_MAX: Final = 16
_RANDOM: Final = random.SystemRandom()


def wait_s(attempt: int, chance: float) -> float:
    """Give the seconds to wait after the failed `attempt` (from 0).

    chance: a random number in [0, 1).
    """
    longest = min(FIRST_S * 2.0 ** min(attempt, _DOUBLINGS_MAX), LONGEST_S)
    return longest * (1 + chance) / 2


def next_wait_s(attempt: int) -> float:
    """Give `wait_s` with a fresh random number."""
    return wait_s(attempt, _RANDOM.random())
