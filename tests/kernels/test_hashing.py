"""Nobody who does not know the secret of a start can make a table's chains long."""

import random
from collections.abc import Iterator
from typing import Final

import pytest

from conformance.driver import START_MS, Driver, assert_same, require_core
from conformance.test_records import OPTIONS, eventful_life
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.kernels import layout as lo

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_NAMES: Final = ("a", "queue", "8 bytes!", "9 bytes..", "été " * 9, "x" * 255)


@pytest.fixture(autouse=True)
def _array_core_runs() -> None:
    require_core("array")


def siphash_1_3(key: tuple[int, int], data: bytes) -> int:
    """The hash as its paper has it, for one round a word and three at the end."""

    def turned(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & _MASK

    def mixed(v: list[int]) -> list[int]:
        a, b, c, d = v
        a = (a + b) & _MASK
        b = turned(b, 13) ^ a
        a = turned(a, 32)
        c = (c + d) & _MASK
        d = turned(d, 16) ^ c
        a = (a + d) & _MASK
        d = turned(d, 21) ^ a
        c = (c + b) & _MASK
        b = turned(b, 17) ^ c
        return [a, b, turned(c, 32), d]

    starts = b"somepseu", b"dorandom", b"lygenera", b"tedbytes"
    v = [key[k % 2] ^ int.from_bytes(start, "big") for k, start in enumerate(starts)]
    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) % 256,))
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        v = mixed(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        v = mixed(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_the_reference_is_siphash() -> None:
    """The same function as hashes Python's bytes, where that can be told the key."""
    key = (
        int.from_bytes(bytes(range(8)), "little"),
        int.from_bytes(bytes(range(8, 16)), "little"),
    )
    assert siphash_1_3(key, b"") == 0xABAC0158050FC4DC
    assert siphash_1_3(key, bytes(range(1))) == 0xC9F49BF37D57CA93


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1, random.Random(1).getrandbits(63)])
def test_names_are_hashed_with_the_secret(seed: int) -> None:
    core = ArrayCore(CoreOptions(hash_seed=seed))
    key = seed, (seed * _GOLDEN + 1) & _MASK
    for name in _NAMES:
        core.pause(name, paused=True, now_ms=START_MS)
        at = core._queues.by_name[name].at
        expected = siphash_1_3(key, name.encode())
        assert core._words[at + lo.Q_HASH] & _MASK == expected
        line = b'{"cmd":"PUSH","queue":"%b","data":1}\n' % name.encode()
        assert core.execute(line, 1, START_MS)[0] == len(line)


def _chains(core: ArrayCore, table: int, buckets: int, base_h: int) -> Iterator[int]:
    """How many records are in each bucket of a table whose records have 16 halves."""
    halves = core._store.memory.halves
    for bucket in range(core._state[table]):
        count, record = 0, halves[buckets + bucket]
        while record:
            count += 1
            record = halves[base_h + record * 16 + lo.CHAIN_NEXT]
        yield count


def _priorities_of_one_bucket(count: int) -> list[int]:
    """Priorities of the first queue that share a bucket, if nothing is secret."""
    found: list[int] = []
    priority = -(2**31)
    while len(found) < count:
        key = 1 << 32 | priority + 2**31
        if (key * _GOLDEN & _MASK) >> 33 & 0xFFF == 0:
            found.append(priority)
        priority += 1
    return found


@pytest.mark.parametrize(
    ("seed", "longest"), [(0, range(1000, 1001)), (None, range(2, 40))]
)
def test_chosen_priorities_make_no_long_chain(seed: int | None, longest: range) -> None:
    if seed is None:
        seed = random.Random(5).getrandbits(63)
    core = ArrayCore(CoreOptions(hash_seed=seed))
    chosen = _priorities_of_one_bucket(1000)
    jobs = NewJobs(payloads=[b"1"] * 1000, run_ats_ms=START_MS, priorities=chosen)
    core.push("q", jobs, START_MS)
    chains = list(_chains(core, lo.S_LEVEL_HASH, lo.LEVEL_BUCKETS_H, lo.LEVELS_H))
    assert sum(chains) == 1000
    assert max(chains) in longest


def test_names_that_kernels_do_not_know_are_in_no_chain() -> None:
    core = ArrayCore(CoreOptions(queues_max=100))
    for n in range(300):
        core.push(f'"{n}"', NewJobs(payloads=[b"1"], run_ats_ms=START_MS), START_MS)
        ids = core.pull(f'"{n}"', 1, 10, 10, 1, START_MS).ids
        core.ack(ids, None, START_MS)
    assert core._state[lo.S_QUEUE_HASH + 2] == 0
    core.check()


def test_nothing_that_is_told_depends_on_the_secret() -> None:
    lives = [Driver("array", hash_seed=seed, **OPTIONS) for seed in (0, 12345678901234567)]
    for life in lives:
        eventful_life(life)
    assert lives[0].records == lives[1].records
    again = lives[0].replayed("array", hash_seed=99, **OPTIONS)
    assert_same(lives[1].replayed("array", **OPTIONS), again, range(1, 60))
