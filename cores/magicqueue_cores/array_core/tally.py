"""What Python keeps beside the core's memory takes this: one price a kind of thing.

Measured as in `memory_tally`; what is in the memory itself is reckoned by the kernel
`taken_bytes`, to the byte.
"""

from typing import Final

ERROR_BYTES: Final = 138
"""An error text beyond its bytes."""
DEATH_BYTES: Final = 215
"""A dead letter: how it died, its place, its size, its order."""
LARGE_BYTES: Final = 230
"""A payload that is too long for the arena, beyond its bytes."""
COUNT_BYTES: Final = 150
"""Numbers too large for a job's block."""
QUEUE_BYTES: Final = 1600
"""A queue beyond its name; most of it is in the core's memory."""
SESSION_BYTES: Final = 130
"""A session that has pulled."""
