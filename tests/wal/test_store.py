"""A log in an engine: each of its calls goes wrong in each way, once or from then on."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal.journal import Deposed, StoreFailed
from magicqueue_server.wal.store import Contents, Held, Owned, check_whole
from magicqueue_server.wal.store_journal import CHUNK_BYTES
from magicqueue_server.wal.verdict import Refused
from wal.made_engine import (
    FAULTS,
    LEASE_MS,
    MadeEngine,
    MadeUp,
    StoreServer,
    no_fault,
    store_of,
)
from wal.memory_disk import Killed
from wal.promises import Promises

SEGMENT_BYTES = 700
STEPS_MAX = 1000
Plan = Callable[[int, str], str | None]


def failing(first: int, fault: str, *, sticky: bool, failed: list[str]) -> Plan:
    def plan(number: int, name: str) -> str | None:
        if number != first and not (sticky and number > first):
            return None
        failed.append(name)
        return fault

    return plan


def script(
    shared: MadeUp, seed: int, plan: Plan, steps: int, core: str = "python"
) -> tuple[Promises, StoreServer | None]:
    """Run the script until it is done or the server ends."""
    promises = Promises(seed)
    server: StoreServer | None = None
    try:
        server = StoreServer(shared, plan, segment_bytes=SEGMENT_BYTES, core=core)
        promises.meet(server)
        for _ in range(steps):
            promises.step()
        for _ in range(4):
            server.tick(600)
            promises.hear()
    except (Killed, Refused, OSError):
        pass
    return promises, server


@cache
def whole_script(seed: int) -> tuple[int, int]:
    """How many steps the script needs to free two segments, and how many operations."""
    for steps in range(80, STEPS_MAX, 20):
        _, server = script(MadeUp(), seed, no_fault, steps)
        assert server is not None
        if server.reclaimer.freed > 1:
            return steps, server.engine_there.operations
    raise AssertionError(f"{STEPS_MAX} steps are too few to free a segment")


def successor(shared: MadeUp, **more: Any) -> StoreServer:
    """Another server, as soon as it may take over."""
    return StoreServer(shared, segment_bytes=SEGMENT_BYTES, **more)


def sweep(seed: int, fault: str, *, sticky: bool, step: int = 1, offset: int = 0) -> int:
    """Let each call go wrong, or one in `step`; gives how many did.

    Then the server goes on if it can, and another takes over, which has to have all.
    """
    steps, operations = whole_script(seed)
    swept = 0
    for first in range(1 + offset % step, operations + 1, step):
        shared, failed = MadeUp(), list[str]()
        plan = failing(first, fault, sticky=sticky, failed=failed)
        promises, server = script(shared, seed, plan, steps)
        assert failed
        swept += 1
        if server is not None:
            server.engine_there.fault = no_fault
            if not fault.startswith("kill"):
                for _ in range(10):
                    promises.step()
                promises.hear()
            while server.engine_there.late:
                server.engine_there.late.pop()()
        promises.copy().check(successor(shared))
    return swept


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_goes_wrong(fault: str, *, sticky: bool) -> None:
    if sticky and fault.startswith(("kill", "deposed")):
        pytest.skip("it ends with the first")
    assert sweep(1, fault, sticky=sticky, step=51, offset=6 * FAULTS.index(fault)) > 4


@pytest.mark.slow
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_every_call_goes_wrong_in_long_scripts(
    seed: int, fault: str, *, sticky: bool
) -> None:
    assert sweep(seed, fault, sticky=sticky) > 100


def unfenced(shared: MadeUp, seed: int) -> None:
    """Two servers write at the same time, which the engine lets them."""
    shared.epoch_checked = False
    promises, server = script(shared, seed, no_fault, 40)
    assert server is not None
    shared.now_ms += LEASE_MS + 1
    other = successor(shared, now=server.now)
    promises.meet(other)
    for _ in range(20):
        promises.step()
    promises.meet(server)
    for _ in range(20):
        promises.step()
    promises.check(successor(shared))


def test_without_a_look_at_the_epoch_something_is_lost() -> None:
    lost = 0
    for seed in range(4):
        try:
            unfenced(MadeUp(), seed)
        except (AssertionError, Refused):
            lost += 1
    assert lost == 4


def test_the_same_with_the_look_loses_nothing() -> None:
    for seed in range(4):
        shared = MadeUp()
        promises, server = script(shared, seed, no_fault, 40)
        assert server is not None
        shared.now_ms += LEASE_MS + 1
        other = successor(shared, now=server.now)
        promises.meet(server)
        for _ in range(5):
            promises.step()
        assert [type(error) for error in server.failures] == [Deposed]
        other.tick(server.now - other.now)
        promises.meet(other)
        for _ in range(20):
            promises.step()
        other.stop()
        promises.check(successor(shared))


def test_an_owner_that_lives_is_not_followed() -> None:
    shared = MadeUp()
    owner = StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    other = store_of(MadeEngine(shared))
    for _ in range(10):
        owner.tick(LEASE_MS - 100)
        with pytest.raises(Owned, match="server 1"):
            other.take_over()
    assert not owner.failures
    owner.stop()
    other.take_over()


def test_an_owner_that_says_nothing_is_followed_when_its_lease_is_over() -> None:
    shared = MadeUp()
    StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    other = store_of(MadeEngine(shared))
    shared.now_ms += LEASE_MS - 1
    with pytest.raises(Owned):
        other.take_over()
    shared.now_ms += 1
    other.take_over()


def test_an_idle_owner_that_was_deposed_finds_that_out() -> None:
    shared = MadeUp()
    owner = StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    shared.now_ms += LEASE_MS
    successor(shared)
    owner.tick(LEASE_MS)
    assert [type(error) for error in owner.failures] == [Deposed]


def test_an_idle_owner_writes_nothing_but_that_it_lives() -> None:
    shared = MadeUp()
    owner = StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    tail = shared.tail
    operations = owner.engine_there.operations
    for _ in range(20):
        owner.tick(LEASE_MS // 3)
    assert shared.tail == tail
    assert owner.engine_there.names[operations:] == ["connect", "append"] * 20


def test_an_engine_that_lost_what_it_promised_is_not_trusted() -> None:
    shared = MadeUp()
    server = StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    client = server.client()
    assert client.ask(cmd="PUSH", queue="a", data=1)
    del shared.chunks[shared.tail]
    shared.tail -= 1
    assert client.ask(cmd="PUSH", queue="a", data=2) is None
    assert client.hung_up
    (failure,) = server.failures
    assert type(failure) is StoreFailed
    assert "lost what it had promised" in str(failure)


def test_an_engine_that_never_answers_is_given_up_on() -> None:
    shared = MadeUp()
    server = StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    server.engine_there.fault = lambda _number, _name: "lost"
    assert server.client().ask(cmd="PUSH", queue="a", data=1) is None
    (failure,) = server.failures
    assert str(failure) == (
        "the made-up engine gave no answer for 2 s (the connection was lost)"
    )


def test_a_copy_that_is_behind_is_not_read() -> None:
    shared = MadeUp()
    StoreServer(shared, segment_bytes=SEGMENT_BYTES).stop()
    engine = MadeEngine(shared)
    behind = MadeUp(epoch=shared.epoch, tail=shared.tail, chunks=dict(shared.chunks))
    engine.contents = behind.contents  # type: ignore[method-assign]
    with pytest.raises(StoreFailed, match="address of the primary"):
        store_of(engine).take_over()


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [Held(1, 1, 2, 9)],
        [Held(1, 1, 4, 9)],
        [Held(1, 1, 1, 9), Held(2, 3, 1, 9)],
        [Held(1, 1, 1, 9), Held(3, 2, 2, 9)],
    ],
)
def test_missing_chunks_are_found(segments: list[Held]) -> None:
    with pytest.raises(Refused, match="are missing"):
        check_whole(Contents(1, 3, segments), "x")


def test_whole_logs_are_whole() -> None:
    check_whole(Contents(0, 0, []), "x")
    check_whole(Contents(9, 3, [Held(4, 2, 1, 9), Held(5, 3, 1, 9)]), "x")


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_frame_may_be_of_many_chunks(jobs: int) -> None:
    shared = MadeUp()
    server = StoreServer(shared, segment_bytes=2**24)
    data = "x" * 900_000
    rows = [{"data": data}] * jobs
    assert server.client().ask(cmd="PUSHB", queue="a", jobs=rows)
    sizes = [len(chunk) for _, chunk in shared.chunks.values()]
    assert sizes[0] == fmt.FRAMES_AT
    assert max(sizes) <= CHUNK_BYTES
    assert len(sizes) == 2 + jobs * len(data) // CHUNK_BYTES
    server.stop()
    reply = successor(shared).client().ask(cmd="GETJOB", id=jobs)
    assert reply is not None
    assert reply["job"]["data"] == data


def test_a_start_tells_a_clean_end_from_another() -> None:
    shared = MadeUp()
    StoreServer(shared, segment_bytes=SEGMENT_BYTES).stop()
    second = successor(shared)
    assert second.found.clean
    second.client().ask(cmd="PUSH", queue="a", data=1)
    shared.now_ms += LEASE_MS
    assert not successor(shared).found.clean


def test_damage_is_refused_and_nothing_is_changed() -> None:
    shared = MadeUp()
    server = StoreServer(shared, segment_bytes=SEGMENT_BYTES)
    for number in range(3):
        server.client().ask(cmd="PUSH", queue="a", data=number)
    server.stop()
    whole = dict(shared.chunks)
    for number, (segment, chunk) in whole.items():
        shared.chunks = {**whole, number: (segment, bytes(255 - byte for byte in chunk))}
        before = dict(shared.chunks)
        with pytest.raises(Refused):
            successor(shared)
        assert shared.chunks == before
        shared.now_ms += LEASE_MS
    shared.chunks = whole
    successor(shared)
