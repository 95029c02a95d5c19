"""A log cut or changed anywhere: a torn tail is told from damage, and nothing is silent."""

import random
from collections.abc import Callable, Iterator
from itertools import combinations

import pytest

from magicqueue_cores import records
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.scan import Corrupt, Refused, Scan
from wal.memory_disk import SECTOR, MemoryFolder, file_with
from wal.sample_logs import group_of, journal_in, life, read_log, same

Frames = list[list[records.Record]]
FIRST = fmt.segment_name(1)


def written(steps: Frames, *, sync_each: bool = True) -> MemoryFolder:
    """A log of one segment with one frame a step, synced after each, or never."""
    folder = MemoryFolder()
    journal = journal_in(folder, segment_bytes=2**15)
    for number, some in enumerate(steps):
        journal.write([group_of(some, number)])
        if sync_each:
            journal.sync()
    return folder


def frame_ends(folder: MemoryFolder) -> list[int]:
    scan = Scan(folder)
    return [frame.end for _, frame in scan.frames()]


def stale(size: int, rng: random.Random) -> bytes:
    """What an earlier life of the file left: whole frames with another salt."""
    folder = MemoryFolder()
    journal = journal_in(folder, segment_bytes=2**16)
    journal.current.header = fmt.Header(
        number=1, salt=0x4321, first_lsn=1, last_id=0, sequence=0, begun_ms=0
    )
    while journal.current.used_bytes < size + 1000:
        journal.write([group_of(life(rng.randrange(99), 3)[0])])
    return folder.data(FIRST)[:size]


TAILS: dict[str, Callable[[int, bytes, random.Random], bytes]] = {
    "zeros": lambda size, _old, _rng: bytes(size),
    "random bytes": lambda size, _old, rng: rng.randbytes(size),
    "stale frames": lambda size, old, _rng: old[-size:] if size else b"",
}


@pytest.mark.parametrize("tail", TAILS)
def test_a_tail_torn_at_any_byte_leaves_the_frames_before(tail: str) -> None:
    rng = random.Random(tail)
    steps = life(3, 30)
    folder = written(steps)
    ends = frame_ends(folder)
    data = folder.data(FIRST)
    old = stale(len(data), rng)
    for cut in range(ends[-4], ends[-1] + 1):
        changed = data[:cut] + TAILS[tail](len(data) - cut, old, rng)
        torn = folder.changed(FIRST, changed, cut=bool(cut % 2))
        whole = sum(changed[:end] == data[:end] for end in ends)
        scan, frames = read_log(torn)
        assert same(frames, steps[:whole]), f"cut at {cut}"
        assert scan.segments[-1].used_bytes == ends[whole - 1]


def test_a_torn_frame_is_noticed() -> None:
    folder = written(life(4, 10))
    ends = frame_ends(folder)
    data = folder.data(FIRST)
    at = ends[-1] - 40
    scan, _ = read_log(folder.changed(FIRST, data[:at] + bytes(len(data) - at)))
    assert scan.torn is not None
    assert (scan.torn.name, scan.torn.at, scan.torn.lsn) == (FIRST, ends[-2], 10)
    scan, _ = read_log(folder)
    assert scan.torn is None


def flips(data: bytes, end: int) -> Iterator[tuple[int, bytes]]:
    for bit in range(8 * end):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bit // 8, bytes(flipped)


def test_no_flipped_bit_is_silent() -> None:
    """All are refused but those in frames that nothing yet says were durable."""
    steps = life(5, 24)
    folder = written(steps)
    ends = frame_ends(folder)
    refused = torn = mended = 0
    for at, data in flips(folder.data(FIRST), ends[-1]):
        changed = folder.changed(FIRST, data, cut=bool(at % 2))
        try:
            scan, frames = read_log(changed)
        except Refused:
            refused += 1
            assert at < ends[-2]
            continue
        if at < fmt.FRAMES_AT:
            mended += 1
            assert scan.damaged_headers == [FIRST]
            assert same(frames, steps)
        else:
            torn += 1
            assert at >= ends[-3], f"byte {at} was silent"
            lost = 1 if at >= ends[-2] else 2
            assert same(frames, steps[:-lost])
    assert refused > 8 * (ends[-3] - fmt.FRAMES_AT) - 1
    assert mended == 8 * fmt.FRAMES_AT
    assert torn


def test_after_a_clean_stop_no_flipped_bit_loses_anything() -> None:
    steps = life(6, 12)
    folder = MemoryFolder()
    journal = journal_in(folder, segment_bytes=2**15)
    for number, some in enumerate(steps):
        journal.write([group_of(some, number)])
    journal.close(clean=True)
    scan, frames = read_log(folder)
    assert scan.clean
    assert same(frames, steps)
    data = folder.data(FIRST)
    marks_at = len(data) - 2 * fmt.FRAME_HEAD_BYTES
    for at, changed_data in flips(data, len(data)):
        changed = folder.changed(FIRST, changed_data)
        if fmt.FRAMES_AT <= at < marks_at:
            with pytest.raises(Corrupt):
                read_log(changed)
        else:
            assert same(read_log(changed)[1], steps)


def bursts(count: int, seed: int) -> int:
    """Damage up to 32 bits in a row somewhere; gives how often the log was refused."""
    rng = random.Random(seed)
    steps = life(seed, 60)
    folder = written(steps)
    ends = frame_ends(folder)
    size = len(folder.data(FIRST))
    data = int.from_bytes(folder.data(FIRST), "little")
    refused = 0
    for _ in range(count):
        bits = rng.randrange(1, 33)
        at = rng.randrange(8 * fmt.FRAMES_AT, 8 * ends[-1] - bits)
        burst = 1 | rng.getrandbits(bits) | 1 << bits - 1
        text = (data ^ burst << at).to_bytes(size, "little")
        changed = folder.changed(FIRST, text, cut=rng.random() < 0.5)
        try:
            _, frames = read_log(changed)
        except Refused:
            refused += 1
        else:
            assert at + bits > 8 * ends[-3], f"bit {at} was silent"
            assert same(frames, steps[: len(frames)])
    return refused


def test_no_burst_of_damage_is_silent() -> None:
    assert bursts(1_000, seed=1) > 800


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_burst_of_many_is_silent() -> None:
    assert sum(bursts(10_000, seed) for seed in range(10)) > 80_000


def test_a_damaged_log_says_where() -> None:
    folder = written(life(7, 20))
    ends = frame_ends(folder)
    data = bytearray(folder.data(FIRST))
    data[ends[4] + 40] ^= 1
    changed = folder.changed(FIRST, bytes(data))
    with pytest.raises(Corrupt, match=r"0000000000000001\.wal at byte") as caught:
        read_log(changed)
    assert (caught.value.at, caught.value.lsn) == (ends[4], 6)
    assert caught.value.lost.lsns == (7, 20)
    assert caught.value.durable_lsn == 19


def recovers(folder: MemoryFolder, steps: Frames, durable: int) -> bool:
    """Whether a prefix comes back that has at least what was durable."""
    _, frames = read_log(folder)
    return len(frames) >= durable and same(frames, steps[: len(frames)])


def unsynced(seed: int) -> tuple[MemoryFolder, Frames, int]:
    """A log whose last frames have not been synced, and how many frames have."""
    rng = random.Random(seed)
    steps = life(seed, 12)
    folder = MemoryFolder()
    journal = journal_in(folder, segment_bytes=2**15)
    durable = rng.randrange(4, 10)
    for number, some in enumerate(steps):
        journal.write([group_of(some, number)])
        if number + 1 == durable or (number < durable and rng.random() < 0.5):
            journal.sync()
    return folder, steps, durable


def subset(folder: MemoryFolder, sectors: set[int]) -> MemoryFolder:
    return folder.changed(FIRST, file_with(folder.files[FIRST], sectors), cut=True)


@pytest.mark.parametrize("seed", range(12))
def test_every_subset_of_a_few_unsynced_sectors(seed: int) -> None:
    folder, steps, durable = unsynced(seed)
    dirty = sorted(folder.files[FIRST].dirty)[:12]
    for size in range(len(dirty) + 1):
        for some in combinations(dirty, size):
            assert recovers(subset(folder, set(some)), steps, durable)


def random_subsets(count: int) -> None:
    rng = random.Random(1)
    for _ in range(count // 100):
        folder, steps, durable = unsynced(rng.randrange(10**6))
        dirty = sorted(folder.files[FIRST].dirty)
        for _ in range(100):
            some = {sector for sector in dirty if rng.random() < rng.random()}
            assert recovers(subset(folder, some), steps, durable)


def test_random_subsets_of_unsynced_sectors() -> None:
    random_subsets(20_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_random_subsets_of_unsynced_sectors() -> None:
    random_subsets(200_000)


def many_segments(steps: Frames, *, synced: bool) -> MemoryFolder:
    folder = MemoryFolder()
    journal = journal_in(folder, segment_bytes=2048)
    for number, some in enumerate(steps):
        journal.write([group_of(some, number)])
        if synced:
            journal.sync()
    assert len(journal.segments) > 4
    return folder


def test_segments_follow_each_other() -> None:
    steps = life(8, 80)
    scan, frames = read_log(many_segments(steps, synced=True))
    assert same(frames, steps)
    assert [s.number for s in scan.segments] == list(range(1, len(scan.segments) + 1))


def test_a_missing_segment_is_refused() -> None:
    folder = many_segments(life(8, 80), synced=True)
    del folder.files[fmt.segment_name(3)]
    with pytest.raises(Refused, match=r"0000000000000003\.wal is missing"):
        read_log(folder)


def test_damage_in_an_earlier_segment_is_refused() -> None:
    steps = life(9, 80)
    folder = many_segments(steps, synced=True)
    name = fmt.segment_name(2)
    rng = random.Random(0)
    scan, _ = read_log(folder)
    used = scan.segments[1].used_bytes
    for _ in range(200):
        data = bytearray(folder.data(name))
        data[rng.randrange(fmt.FRAMES_AT, used)] ^= 1 << rng.randrange(8)
        folder.files[name].cache[:], old = data, bytes(folder.files[name].cache)
        with pytest.raises(Corrupt, match=name):
            read_log(folder)
        folder.files[name].cache[:] = old


def test_power_cuts_of_a_log_that_is_never_synced_leave_a_prefix() -> None:
    rng = random.Random(10)
    for seed in range(40):
        steps = life(seed, 60)
        folder = MemoryFolder()
        journal = journal_in(folder, segment_bytes=2048)
        for number, some in enumerate(steps):
            journal.write([group_of(some, number)])
        for _ in range(10):
            after = folder.after_power_cut(rng, keep=rng.choice([0.5, 0.9, 0.99]))
            _, frames = read_log(after)
            assert same(frames, steps[: len(frames)])


def test_sectors_are_smaller_than_the_frames_here() -> None:
    folder, _, _ = unsynced(3)
    assert len(folder.files[FIRST].cache) > 10 * SECTOR
