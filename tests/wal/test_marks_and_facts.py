"""Marks of jobs and facts survive restarts, and segments that go, as they were last."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from magicqueue_cores import records
from wal.memory_disk import Killed, MemoryFolder
from wal.sample_logs import plain, read_log
from wal.simulated import Client, Server
from wal.stub_policies import StubPolicies
from wal.test_faults import failing
from wal.test_reclaim import OPERATIONS_MAX

SEGMENT_BYTES = 600
SPACES = ("result", "request", "window")


def server_in(folder: MemoryFolder, **more: Any) -> Server:
    return Server(folder, **{"segment_bytes": SEGMENT_BYTES, **more, "with_policies": True})


def churn(client: Client, count: int) -> None:
    """Jobs come and go, and so do segments, which may begin in the middle of their life."""
    for number in range(count):
        pushed = client.ask(cmd="PUSH", queue="new", data=number) or {}
        client.server.policies.mark("new", {pushed["id"]: b"%d" % number})
        job = (client.ask(cmd="PULL", queue="new") or {})["job"]
        client.ask(cmd="ACK", id=job["id"])
        client.server.tick(1)


def homes(server: Server) -> dict[str, dict[bytes, int]]:
    """Where a server takes its facts to be."""
    spaces = server.reclaimer._facts._spaces
    return {name: dict(space.homes) for name, space in spaces.items()}


def same(one: Server, other: Server) -> None:
    """Check that two servers know the same of marks and facts."""
    assert one.policies.marks == other.policies.marks
    assert one.policies.facts == other.policies.facts
    kept = {space: set(keys) for space, keys in homes(other).items()}
    assert kept == {
        space: {key for name, key in other.policies.facts if name == space}
        for space in kept
    }
    assert sum(map(len, kept.values())) == len(other.policies.facts)


def restarted(server: Server, how: str = "kill") -> Server:
    """Stop a server somehow, and start another on its log that knows the same."""
    if how == "clean":
        server.stop()
    server.log.when_safe(lambda: None)
    server.pump()
    folder = server.folder
    left = (
        folder.after_power_cut(random.Random(1)) if how == "power" else folder.after_kill()
    )
    other = server_in(left, now=server.now)
    same(server, other)
    return other


def old_marks_and_facts(server: Server) -> None:
    """Some jobs are marked at once, some later, some not for long; some facts change."""
    client, policies = server.client(), server.policies
    for number in range(12):
        client.ask(cmd="PUSH", queue="old", data=number)
    policies.mark("old", {job_id: b"at once %d" % job_id for job_id in range(1, 9)})
    for space in SPACES:
        policies.keep(space, {b"%d" % n: b"%s %d" % (space.encode(), n) for n in range(6)})
    churn(client, 90)
    policies.mark("old", {3: b"cancelled", 9: b"late", 4: b""})
    policies.keep("window", {b"2": b"another"})
    policies.drop("result", [b"0", b"5"])
    churn(client, 90)


def survive() -> None:
    """Live through many segments and every kind of restart, one after the other."""
    server = server_in(MemoryFolder(), mode="everysec")
    old_marks_and_facts(server)
    for how in ("kill", "clean", "power", "kill"):
        assert server.reclaimer.moved_facts > 10
        server = restarted(server, how)
        churn(server.client(), 120)
    assert len(server.policies.marks) == 8
    assert server.policies.marks[3] == ("old", b"cancelled")
    assert server.policies.facts["window", b"2"] == b"another"
    assert len(server.policies.facts) == 16
    restarted(server)


def survive_kills() -> None:
    """Be killed at any operation while segments go, and lose nothing that was safe."""

    def life(folder: MemoryFolder) -> Server:
        server = server_in(folder, mode="everysec")
        client = server.client()
        for number in range(8):
            client.ask(cmd="PUSH", queue="old", data=number)
        server.policies.mark("old", {job_id: b"mark %d" % job_id for job_id in range(1, 9)})
        server.policies.keep("result", {b"%d" % n: b"value %d" % n for n in range(12)})
        server.tick(1)
        server.tick(600)
        folder.log.append("all is safe")
        churn(client, 90)
        return server

    whole = MemoryFolder()
    left = life(whole)
    assert left.reclaimer.moved_facts > 12
    first = whole.log.index("all is safe") + 1
    for number in range(first, whole.operations, 9):
        folder = MemoryFolder()
        folder.fault = failing(number, Killed, sticky=False)
        with pytest.raises(Killed):
            life(folder)
        for disk in (folder.after_kill(), folder.after_power_cut(random.Random(1), 0.0)):
            found = server_in(disk).policies
            assert found.facts == left.policies.facts
            old = {n: mark for n, mark in found.marks.items() if mark[0] == "old"}
            assert old == left.policies.marks


def random_lives(seeds: Iterable[int] = range(6)) -> None:
    """Do anything to jobs, marks and facts, restart at any time, and compare."""
    for seed in seeds:
        rng = random.Random(seed)
        server = server_in(MemoryFolder())
        freed = 0
        for _ in range(6):
            client = server.client()
            for _ in range(60):
                one_step(rng, server, client)
            server.policies.core.check()
            freed += server.reclaimer.freed
            server = restarted(server, rng.choice(("kill", "clean", "power")))
        assert freed > 10


def one_step(rng: random.Random, server: Server, client: Client) -> None:
    policies = server.policies
    space, ids = rng.choice(SPACES), list(policies.core.export(range(1, 500)).ids)
    some = rng.sample(ids, min(len(ids), rng.randrange(4)))
    match rng.randrange(8):
        case 0 | 1:
            client.ask(cmd="PUSH", queue="q", data=rng.randrange(100))
        case 2 | 3:
            job = (client.ask(cmd="PULL", queue="q", timeout=0) or {})["job"]
            if job is not None:
                client.ask(cmd="ACK", id=job["id"])
        case 4 if some:
            policies.mark("q", {job_id: rng.randbytes(rng.randrange(9)) for job_id in some})
        case 5 | 6:
            keys = [b"%d" % rng.randrange(20) for _ in range(rng.randrange(1, 4))]
            policies.keep(space, {key: rng.randbytes(rng.randrange(30)) for key in keys})
        case 7:
            policies.drop(space, [b"%d" % rng.randrange(20)])
    server.pump()


def order() -> None:
    """Promoted and replaced jobs keep their places, also those unknown at first.

    What is said of a job in the segments between its home, which is gone, and the one it
    was moved to, is said of a job that a restart does not know yet.
    """
    moved = 0
    for rounds in range(1, 16):
        server = server_in(MemoryFolder())
        client, core = server.client(), server.engine.core
        for number in range(12):
            client.ask(cmd="PUSH", queue="old", data=number, delay=10**9)
        for number in range(rounds):
            core.replace(5 + number % 3, b"%d" % number, 0, server.now, server.now)
            core.replace(8, b'"later"', 0, server.now + 10**9, server.now)
            churn(client, 2)
            if number % 3 == 2:
                core.promote([1 + number // 3, 12 - number // 3], server.now)
            client.ask(cmd="PUSH", queue="old", data="last")
            churn(client, 1)
        other = restarted(server)
        every = range(1, server.log.last_id + 1)
        assert plain(core.export(every)) == plain(other.engine.core.export(every))
        assert server.log.sequence == other.log.sequence
        other.engine.core.check()
        moved += server.reclaimer.moved_jobs
    assert moved > 100


def test_marks_and_facts_survive() -> None:
    survive()


def test_marks_and_facts_survive_kills() -> None:
    survive_kills()


def test_whatever_is_done_to_marks_and_facts_survives() -> None:
    random_lives()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_is_done_to_them_survives_in_many_lives() -> None:
    random_lives(range(1000, 2000))


def test_promoted_and_replaced_jobs_keep_their_places() -> None:
    order()


def frames_of_moved_jobs() -> None:
    """Check that marks that were written again are in the frame of their jobs."""
    folder = MemoryFolder()
    old_marks_and_facts(server_in(folder))
    moved = 0
    for frame in read_log(folder)[1]:
        ids = [one.ids for one in frame if isinstance(one, records.Moved)]
        marked = [one.ids for one in frame if isinstance(one, records.Marked)]
        if ids and marked:
            moved += len(marked[0])
            assert set(marked[0]) <= set(ids[0])
    assert moved >= 8


def test_marks_lie_in_the_frame_of_the_jobs_that_were_moved() -> None:
    frames_of_moved_jobs()


def few_changes(server: Server) -> None:
    for number in range(40):
        server.policies.keep("result", {b"%0400d" % number: b"x" * 400})


def the_same_again(server: Server) -> None:
    for number in range(2000):
        server.policies.keep("window", {b"%d" % (number % 7): b"%0100d" % number})
        if number % 10 == 0:
            server.tick(1)


def marks(server: Server) -> None:
    client = server.client()
    for number in range(100):
        client.ask(cmd="PUSH", queue="q", data=number)
    server.policies.mark("q", {n: b"%0300d" % n for n in range(1, 101)})


def many_at_once(server: Server) -> None:
    for space in SPACES:
        server.policies.keep(space, {b"%0100d" % n: b"%0100d" % n for n in range(500)})
    server.pump()


FILLS = (few_changes, the_same_again, marks, many_at_once)


def comes_to_rest(
    fill: Callable[[Server], None] = many_at_once, mode: str = "always"
) -> None:
    """Fill a server with facts, and see that it writes no more when it is idle."""
    folder = MemoryFolder()
    folder.fault = lambda number, _name: Killed() if number > OPERATIONS_MAX else None
    server = server_in(folder, mode=mode, segment_bytes=4096)
    try:
        fill(server)
        churn(server.client(), 100)
        for _ in range(20):
            server.tick(600)
        lsn = server.log.journal.lsn
        for _ in range(20):
            server.tick(600)
    except Killed:
        raise AssertionError("it writes for ever") from None
    assert server.log.journal.lsn == lsn, "it still writes"
    if server.policies.fact_bytes:
        live_bytes = server.policies.fact_bytes + 100 * len(server.policies.facts)
        live_bytes += 300 * len(server.policies.marks)
        assert server.log.journal.used_bytes <= 3 * live_bytes + 3 * 4096
    restarted(server)


@pytest.mark.parametrize("known", [True, False], ids=["counted", "not counted"])
@pytest.mark.parametrize("mode", ["always", "everysec", "never"])
@pytest.mark.parametrize("fill", FILLS)
def test_reclaiming_comes_to_rest(
    fill: Callable[[Server], None],
    mode: str,
    *,
    known: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if nobody says what facts and marks take."""
    if not known:
        monkeypatch.setattr(StubPolicies, "fact_bytes", 0)
    comes_to_rest(fill, mode)


def memory_stays_small() -> None:
    server = server_in(MemoryFolder(), mode="everysec", segment_bytes=4096)
    many_at_once(server)
    restarted(server)
    for space in SPACES:
        server.policies.drop(space, [b"%0100d" % n for n in range(500)])
    churn(server.client(), 200)
    for _ in range(20):
        server.tick(600)
    assert server.log.journal.used_bytes <= 3 * 4096
    assert homes(server) == {}


def test_what_holds_no_more_takes_no_room_and_no_memory() -> None:
    memory_stays_small()


def test_facts_that_end_without_a_word_are_not_followed_for_ever() -> None:
    """Policies may forget facts whose time is over, and say nothing."""
    server = server_in(MemoryFolder(), mode="everysec", segment_bytes=4096)
    many_at_once(server)
    server.policies.facts.clear()
    churn(server.client(), 200)
    assert homes(server) == {}
