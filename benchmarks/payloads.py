"""Jobs' data: what all benchmarks push."""

import random

SEED = 20_240_607


def payloads(first, count, size_bytes=0):
    """Make `count` payloads of about `size_bytes`; 0 is the smallest, {"i":n}."""
    if size_bytes <= 0:
        return [b'{"i":%d}' % number for number in range(first, first + count)]
    filler = b'","to":"somebody@example.com","body":"' + b"lorem ipsum dolor sit " * 50
    room = max(size_bytes - len(b'{"i":"00000000"}'), 0)
    tail = filler[:room] if room > 40 else b""
    return [b'{"i":"%08d%s"}' % (number, tail) for number in range(first, first + count)]


def priorities(count, distinct):
    """Draw `count` priorities from 0 to distinct - 1, always the same ones."""
    if distinct == 1:
        return [0] * count
    draw = random.Random(SEED)
    return [draw.randrange(distinct) for _ in range(count)]
