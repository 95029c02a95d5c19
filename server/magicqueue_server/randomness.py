"""The only place in the server where chance comes in; cores are told what they need."""

import secrets
from typing import Final

_SEED_BITS: Final = 63
_SALT_BITS: Final = 32


def hash_seed() -> int:
    """Make a secret for one start, `CoreOptions.hash_seed`."""
    return secrets.randbits(_SEED_BITS)


def salt() -> int:
    """Make a number that tells a segment of the log from whatever its disk held before."""
    return secrets.randbits(_SALT_BITS)
