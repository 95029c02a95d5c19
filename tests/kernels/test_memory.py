"""The arena and the tables give back what they took, and lose nothing when they move it."""

import random

import pytest

from conformance.driver import BYTES_MAX, START_MS, answered, require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.kernels.arena import SPARE_BYTES, SPREAD_MAX

_LARGEST = lo.PAYLOAD_BYTES_MAX


@pytest.fixture
def core() -> ArrayCore:
    require_core("array")
    return ArrayCore(CoreOptions())


def _push(core: ArrayCore, payloads: list[bytes]) -> list[int]:
    jobs = NewJobs(payloads=payloads, run_ats_ms=START_MS)
    first = answered(core.push("q", jobs, START_MS))
    return list(range(first, first + len(payloads)))


def _pull(core: ArrayCore, count: int) -> dict[int, bytes]:
    delivery = answered(core.pull("q", count, BYTES_MAX, 10_000, 1, START_MS))
    return dict(zip(delivery.ids, delivery.payloads, strict=True))


def _used_bytes(core: ArrayCore) -> int:
    return core._state[lo.S_SEGMENTS_USED] * lo.SEGMENT_BYTES


def test_long_lived_jobs_do_not_pin_memory(core: ArrayCore) -> None:
    rng = random.Random(4)
    kept: dict[int, bytes] = {}
    for _ in range(24):
        payloads = [rng.randbytes(rng.randrange(30_000, _LARGEST)) for _ in range(60)]
        ids = _push(core, payloads)
        assert _pull(core, 60) == dict(zip(ids, payloads, strict=True))
        stays = set(rng.sample(ids, 2))
        kept.update((i, p) for i, p in zip(ids, payloads, strict=True) if i in stays)
        core.ack([job_id for job_id in ids if job_id not in stays], None, START_MS)
    core.check()
    for _ in range(30):
        core.ack([0], None, START_MS)
    bound = SPREAD_MAX * core._state[lo.S_BLOCK_BYTES] + SPARE_BYTES
    assert _used_bytes(core) <= bound + lo.SEGMENT_BYTES
    core.check()
    for job_id, payload in kept.items():
        view = core.job(job_id, START_MS)
        assert view is not None
        assert view.payload == payload
    core.ack(list(kept), None, START_MS)
    core.check()
    assert core._state[lo.S_SEGMENTS_USED] == 1
    assert core._state[lo.S_BLOCK_BYTES] == core._state[lo.S_PAYLOAD_BYTES] == 0


def test_a_steady_flow_needs_no_more_memory(core: ArrayCore) -> None:
    tables = (lo.S_SLOT_HIGH, lo.S_PAGE_HIGH, lo.S_LEASE_HIGH, lo.S_LEVEL_HIGH)
    highs: list[list[int]] = []
    for turn in range(60):
        _push(core, [b"%d" % n for n in range(300)])
        for _ in range(3):
            core.ack(list(_pull(core, 100)), None, START_MS)
        if turn >= 2:
            highs.append([core._state[table] for table in tables])
    core.check()
    assert highs.count(highs[0]) == len(highs)
    assert core._state[lo.S_SEGMENT_HIGH] == 1


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, _LARGEST - 1, _LARGEST])
def test_payloads_of_every_size_come_back(core: ArrayCore, size: int) -> None:
    payloads = [bytes([n % 251]) * size for n in range(40)]
    ids = _push(core, payloads)
    core.check()
    assert _pull(core, 40) == dict(zip(ids, payloads, strict=True))


def test_long_payloads_are_kept_and_dropped(core: ArrayCore) -> None:
    payloads = [b"x" * (_LARGEST + 1), b"small", b"y" * (3 * _LARGEST)]
    ids = _push(core, payloads)
    core.check()
    assert core.stats(START_MS).memory_bytes > 4 * _LARGEST
    assert list(_pull(core, 1).values()) == payloads[:1]
    assert list(_pull(core, 5).values()) == payloads[1:]
    core.ack(ids, None, START_MS)
    core.check()
    assert core.stats(START_MS).content_bytes == 0


def test_scattered_ids_are_found(core: ArrayCore) -> None:
    rng = random.Random(5)
    ids = _push(core, [b"1"] * 20_000)
    _pull(core, 20_000)
    stays = sorted(rng.sample(ids, 150))
    core.ack(sorted(set(ids) - set(stays)), None, START_MS)
    core.check()
    assert [i for i in ids if core.job(i, START_MS) is not None] == stays
    pages = core._state[lo.S_PAGE_HASH + 2]
    assert pages == len({job_id >> lo.PAGE_BITS for job_id in stays})


def test_bounds_that_records_have_no_bits_for_are_refused() -> None:
    require_core("array")
    with pytest.raises(ValueError, match="lost_max"):
        ArrayCore(CoreOptions(lost_max=20_000))
    with pytest.raises(ValueError, match="backoff_ms_max"):
        ArrayCore(CoreOptions(backoff_ms_max=2**33))


def test_sessions_that_hold_nothing_are_forgotten(core: ArrayCore) -> None:
    _push(core, [b"1"] * 5000)
    for session in range(1, 5001):
        core.pull("q", 1, BYTES_MAX, 10_000, session, START_MS)
        core.ack([session], None, START_MS)
    assert len(core._store.sessions) < 2500
    _push(core, [b"1"] * 5000)
    for session in range(1, 5001):
        core.pull("q", 1, BYTES_MAX, 10_000, session, START_MS)
    assert len(core._store.sessions) > 5000
    core.close_session(77, START_MS)
    assert list(_pull(core, 2)) == [5077]
    core.check()
