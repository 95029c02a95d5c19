"""Ids never come again, whole frames are not cut off, and faults put in on purpose show.

The second half is the proof that the first half bites, as in `test_seeded_faults`.
"""

import random
from collections.abc import Callable

import pytest

from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import scan
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.passes import Passes
from magicqueue_server.wal.reclaim import Reclaimer
from magicqueue_server.wal.scan import Scan
from magicqueue_server.wal.verdict import Corrupt
from wal import test_reclaim
from wal.memory_disk import Killed, MemoryFolder
from wal.sample_logs import read_log
from wal.simulated import Server

Patch = pytest.MonkeyPatch
MODES = ("always", "everysec", "never")


def no_id_comes_again(mode: str, seed: int) -> None:
    """Ids that were answered, over power cuts that lose what was not synced."""
    rng, folder = random.Random(seed), MemoryFolder()
    answered: set[int] = set()
    for _ in range(6):
        server = Server(folder, mode=mode)
        client = server.client()
        for number in range(rng.randrange(1, 40)):
            client.replies.clear()
            reply = client.ask(cmd="PUSH", queue="q", data=number)
            for _ in range(20):
                if reply is None:
                    server.tick(100)
                    reply = client.replies[-1] if client.replies else None
            assert reply is not None, "nobody answers"
            assert reply["id"] not in answered, f"{reply['id']} was given twice"
            answered.add(reply["id"])
            if rng.random() < 0.1:
                server.tick(rng.randrange(800))
        folder = folder.after_power_cut(rng, keep=rng.choice((0.0, 0.5)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", MODES)
def test_no_id_comes_again_after_power_cuts(mode: str, seed: int) -> None:
    no_id_comes_again(mode, seed)


def killed(mode: str) -> MemoryFolder:
    """A log of many segments after a kill."""
    folder = MemoryFolder()
    server = Server(folder, mode=mode, segment_bytes=900)
    client = server.client()
    for number in range(30):
        client.ask(cmd="PUSH", queue="q", data=number)
    return folder.after_kill()


def a_bad_frame_before_whole_ones_is_refused() -> None:
    for mode in MODES:
        folder = killed(mode)
        name = max(name for name in folder.names() if name.endswith(fmt.SUFFIX))
        data = bytearray(folder.data(name))
        data[fmt.FRAMES_AT + fmt.FRAME_HEAD_BYTES + 3] ^= 1
        with pytest.raises(Corrupt, match="at byte"):
            read_log(folder.changed(name, bytes(data)))


def a_missing_first_segment_is_refused() -> None:
    for mode in MODES:
        folder = killed(mode)
        del folder.files[fmt.segment_name(1)]
        with pytest.raises(Corrupt, match=r"0000000000000001\.wal is missing"):
            read_log(folder)


def ids_come_again() -> None:
    for seed in range(4):
        no_id_comes_again("everysec", seed)


def an_idle_server_writes() -> None:
    test_reclaim.test_an_idle_server_comes_to_rest(test_reclaim.dead_letters, "everysec")


DETECTORS: tuple[Callable[[], None], ...] = (
    a_bad_frame_before_whole_ones_is_refused,
    a_missing_first_segment_is_refused,
    ids_come_again,
    an_idle_server_writes,
)


def reserved_ids_are_not_on_the_disk(patch: Patch) -> None:
    def reserve(journal: LocalJournal, last_id: int, **fields: object) -> None:
        if fields:
            journal._change(**fields)
        journal.reserved_id = last_id + 1000

    patch.setattr(LocalJournal, "_reserve", reserve)


def ids_beyond_the_reserved_are_used(patch: Patch) -> None:
    patch.setattr(LocalJournal, "wants_ids", lambda _journal, _last_id: False)
    patch.setattr(Server, "__init__", _unreserved(Server.__init__))


def _unreserved(real: Callable[..., None]) -> Callable[..., None]:
    def init(server: Server, *arguments: object, **named: object) -> None:
        real(server, *arguments, **named)
        journal = server.log.journal
        assert isinstance(journal, LocalJournal)
        journal.reserved_id = 2**60

    return init


def a_missing_segment_is_accepted(patch: Patch) -> None:
    patch.setattr(Scan, "_complete", lambda _scan: None)


def whole_frames_are_cut_off(patch: Patch) -> None:
    real = Scan._end

    def end(found: Scan, later: list[int], data: memoryview | None) -> None:
        found._same_run = False
        real(found, later, data)

    patch.setattr(Scan, "_end", end)
    patch.setattr(scan, "_sector_lost", lambda *_: True)


def error_texts_are_not_counted(patch: Patch) -> None:
    real = Reclaimer._jobs

    def jobs(reclaimer: Reclaimer) -> tuple[int, int]:
        number, content_bytes = real(reclaimer)
        moved = reclaimer._core.export(range(1, reclaimer._log.last_id + 1))
        return number, content_bytes - sum(len(text or "") for text in moved.errors)

    patch.setattr(Reclaimer, "_jobs", jobs)
    patch.setattr(Passes, "may_go_on", lambda *_: True)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    reserved_ids_are_not_on_the_disk,
    ids_beyond_the_reserved_are_used,
    a_missing_segment_is_accepted,
    whole_frames_are_cut_off,
    error_texts_are_not_counted,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(
    fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    found: list[BaseException] = []
    for detector in DETECTORS:
        try:
            detector()
        except (AssertionError, Killed, pytest.fail.Exception) as caught:
            found.append(caught)
    assert found, "nobody noticed"


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.__name__)
def test_without_a_fault_nothing_is_found(detector: Callable[[], None]) -> None:
    detector()
