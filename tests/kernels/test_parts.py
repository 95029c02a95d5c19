"""Numbers as text, hash chains and skew heaps, each against what Python has."""

import heapq
import random

import pytest

from conformance.driver import require_core
from kernels.probe import ADD, FIND, INSERT, RECORDS, REMOVE, REST, WRITE, WRITE_IDS, Probe
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.jit import MODE

_MANY = 3000 if MODE != "python" else 150


@pytest.fixture
def tested() -> Probe:
    require_core("array")
    return Probe()


def test_integers_are_written(tested: Probe) -> None:
    rng = random.Random(1)
    edges = [s * (10**n + d) for n in range(16) for d in (-1, 0, 1) for s in (1, -1)]
    for value in (
        0,
        *edges,
        *(rng.randrange(10 ** rng.randrange(1, 16)) for _ in range(_MANY)),
    ):
        assert tested.written(tested.run(WRITE, value)) == b"%d" % value


@pytest.mark.parametrize("first", [1, 9, 95, 99_999_990, 123_456_789, 10**15 - 3])
@pytest.mark.parametrize("count", [1, 2, 10, 25])
def test_ids_are_written(tested: Probe, first: int, count: int) -> None:
    expected = b",".join(b"%d" % (first + k) for k in range(count))
    assert tested.written(tested.run(WRITE_IDS, first, count)) == expected


def test_chains_find_what_is_there(tested: Probe) -> None:
    rng = random.Random(2)
    words = tested.memory.words
    there: dict[int, int] = {}
    free = list(range(1, _MANY))
    for _ in range(4 * _MANY):
        key = rng.choice(
            (rng.randrange(50), rng.randrange(2**60), rng.randrange(2**20) << 32)
        )
        if key in there:
            record = there.pop(key)
            tested.run(REMOVE, record)
            free.append(record)
        elif free:
            record = there[key] = free.pop()
            words[RECORDS + record * lo.LEVEL_WORDS] = key
            tested.run(INSERT, record)
        if there and rng.random() < 0.5:
            gone = rng.choice(list(there)[:5])
            assert tested.run(FIND, gone) == there[gone]
            record = there.pop(gone)
            tested.run(REMOVE, record)
            free.append(record)
            assert tested.run(FIND, gone) == 0
    for key, record in there.items():
        assert tested.run(FIND, key) == record
    assert tested.memory.state[lo.S_LEVEL_HASH + 2] == len(there)


@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_skew_heaps_sort(tested: Probe, order: str) -> None:
    rng = random.Random(3)
    count = _MANY
    keys = [rng.randrange(count) for _ in range(count)]
    if order != "random":
        keys.sort(reverse=order == "falling")
    heap: list[int] = []
    root = 0
    for record, key in enumerate(keys, 1):
        tested.memory.words[RECORDS + 8 * record + lo.HEAP_KEY] = key
        root = tested.run(ADD, root, record)
        heapq.heappush(heap, key)
        if rng.random() < 0.3:
            assert keys[root - 1] == heapq.heappop(heap)
            root = tested.run(REST, root)
    while heap:
        assert keys[root - 1] == heapq.heappop(heap)
        root = tested.run(REST, root)
    assert root == 0
