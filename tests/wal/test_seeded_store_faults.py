"""The proof that the tests of the store bite: each of these faults is caught.

A fault is a small change to what keeps a log in an engine, or to the engine; detectors are
short forms of the tests in `test_store`. Without a fault none of them finds anything. Those
that need real PostgreSQL are in `tests/cluster/test_controls.py`.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from magicqueue_server.wal import store as stores
from magicqueue_server.wal import store_journal
from magicqueue_server.wal.journal import DiskFull, StoreFailed
from magicqueue_server.wal.store import Claim, Held, LogStore, Row, Unsure
from magicqueue_server.wal.store_folder import StoreFolder
from magicqueue_server.wal.store_journal import StoreJournal
from magicqueue_server.wal.store_place import StorePlace
from magicqueue_server.wal.verdict import Refused
from wal import test_store
from wal.made_engine import LEASE_MS, MadeEngine, MadeUp, StoreServer, store_of
from wal.memory_disk import Killed

Patch = pytest.MonkeyPatch
STEP = 61
"""Odd, as every second call is the same."""


def lost_calls() -> None:
    for fault in ("lost", "done"):
        test_store.sweep(1, fault, sticky=False, step=STEP, offset=7)


def kills() -> None:
    for fault in ("kill", "kill behind"):
        test_store.sweep(1, fault, sticky=False, step=STEP, offset=11)


def full_engines() -> None:
    test_store.sweep(1, "full", sticky=False, step=STEP, offset=3)


def take_overs() -> None:
    test_store.sweep(1, "deposed", sticky=False, step=STEP, offset=5)


def a_chunk_is_gone() -> None:
    """Any of them: the last one, too, which no later one points at."""
    shared = MadeUp()
    server = StoreServer(shared, segment_bytes=700)
    for number in range(3):
        server.client().ask(cmd="PUSH", queue="a", data=number)
    server.stop()
    whole = dict(shared.chunks)
    for number in whole:
        shared.chunks = {at: chunk for at, chunk in whole.items() if at != number}
        with pytest.raises(Refused):
            test_store.successor(shared)
        shared.now_ms += LEASE_MS


def a_deposed_owner_ends() -> None:
    """It must not give away what another one has."""
    shared = MadeUp()
    first = store_of(MadeEngine(shared))
    first.take_over()
    shared.now_ms += LEASE_MS
    second = store_of(MadeEngine(shared))
    second.take_over()
    first.close()
    with pytest.raises(stores.Owned):
        store_of(MadeEngine(shared)).take_over()
    second.append([(1, b"x")])


def a_deposed_owner_lets_segments_go() -> None:
    shared = MadeUp()
    first = store_of(MadeEngine(shared))
    first.take_over()
    first.append([(1, b"a"), (2, b"b")])
    shared.now_ms += LEASE_MS
    store_of(MadeEngine(shared)).take_over()
    first.trim(2)
    assert list(shared.chunks) == [1, 2]


def a_large_frame_is_cut_short() -> None:
    """The server is killed between any two calls of one append."""
    for last in range(3, 40):
        shared = MadeUp()
        try:
            server = StoreServer(
                shared,
                lambda number, _, last=last: "kill" if number == last else None,  # type: ignore[misc]
                segment_bytes=2**24,
            )
            server.client().ask(cmd="PUSH", queue="a", data="x" * 3000)
        except Killed:
            pass
        test_store.successor(shared)


DETECTORS: tuple[Callable[[], None], ...] = (
    a_chunk_is_gone,
    a_deposed_owner_ends,
    a_deposed_owner_lets_segments_go,
    a_large_frame_is_cut_short,
    test_store.test_an_owner_that_lives_is_not_followed,
    test_store.test_an_owner_that_says_nothing_is_followed_when_its_lease_is_over,
    test_store.test_an_idle_owner_that_was_deposed_finds_that_out,
    test_store.test_an_engine_that_lost_what_it_promised_is_not_trusted,
    test_store.test_an_engine_that_never_answers_is_given_up_on,
    test_store.test_a_copy_that_is_behind_is_not_read,
    test_store.test_damage_is_refused_and_nothing_is_changed,
    test_store.test_the_same_with_the_look_loses_nothing,
    take_overs,
    kills,
    full_engines,
    lost_calls,
)


def no_answer_is_a_yes(patch: Patch) -> None:
    def append(store: LogStore, claim: Claim, _after: Claim, rows: Sequence[Row]) -> None:
        try:
            store._engine.connect()
            store._engine.append(claim, rows)
        except Unsure:
            pass

    patch.setattr(LogStore, "_append", append)


def no_answer_is_a_no(patch: Patch) -> None:
    """It is put behind whatever is there then: twice, if it was done."""

    def append(store: LogStore, claim: Claim, _after: Claim, rows: Sequence[Row]) -> None:
        while True:
            try:
                store._engine.connect()
                if store._engine.append(claim, rows):
                    return
            except Unsure:
                pass
            tail = store._engine.tail(claim.epoch)
            if tail is None:
                raise store._deposed()
            claim = Claim(claim.epoch, tail)

    patch.setattr(LogStore, "_append", append)


def a_deposed_owner_goes_on(patch: Patch) -> None:
    real = LogStore._is_there

    def is_there(store: LogStore, claim: Claim, after: Claim, *, sent: bool) -> bool:
        try:
            return real(store, claim, after, sent=sent)
        except StoreFailed:
            return True

    patch.setattr(LogStore, "_is_there", is_there)


def a_lost_tail_is_taken_for_done(patch: Patch) -> None:
    real = LogStore._is_there

    def is_there(store: LogStore, claim: Claim, after: Claim, *, sent: bool) -> bool:
        tail = store._engine.tail(claim.epoch)
        if tail is not None and tail < claim.tail:
            return True
        return real(store, claim, after, sent=sent)

    patch.setattr(LogStore, "_is_there", is_there)


def no_lease(patch: Patch) -> None:
    real = LogStore._claimed

    def claimed(store: LogStore) -> Claim | str:
        patch.setattr(store, "_lease_ms", 0)
        return real(store)

    patch.setattr(LogStore, "_claimed", claimed)


def it_never_says_that_it_lives(patch: Patch) -> None:
    patch.setattr(StorePlace, "tend", lambda *_: None)


def it_gives_no_word_of_its_failure(patch: Patch) -> None:
    real = StorePlace.tend

    def tend(place: StorePlace, tasks: Any, _fail: Any) -> None:
        real(place, tasks, lambda _: None)

    patch.setattr(StorePlace, "tend", tend)


def replies_before_the_append(patch: Patch) -> None:
    real = LogStore.append
    waiting: dict[LogStore, list[Row]] = {}

    def append(store: LogStore, rows: Sequence[Row] = ()) -> None:
        if rows:
            rows, waiting[store] = waiting.get(store, []), list(rows)
        real(store, rows)

    patch.setattr(LogStore, "append", append)


def an_append_is_many(patch: Patch) -> None:
    """Each chunk by itself, so a kill leaves the beginning of a frame."""
    real = LogStore.append

    def append(store: LogStore, rows: Sequence[Row] = ()) -> None:
        for row in rows:
            real(store, [row])
        if not rows:
            real(store)

    patch.setattr(LogStore, "append", append)
    patch.setattr(store_journal, "CHUNK_BYTES", 500)


def one_chunk_too_many_goes(patch: Patch) -> None:
    real = LogStore.trim

    def trim(store: LogStore, number: int) -> None:
        store._firsts[number] += 1
        real(store, number)

    patch.setattr(LogStore, "trim", trim)


def a_segment_too_many_goes(patch: Patch) -> None:
    def drop(journal: StoreJournal) -> None:
        journal._store.trim(journal.segments[min(2, len(journal.segments) - 1)].number)
        journal.segments.popleft()

    patch.setattr(StoreJournal, "drop", drop)


def a_full_engine_is_a_yes(patch: Patch) -> None:
    real = LogStore.append

    def append(store: LogStore, rows: Sequence[Row] = ()) -> None:
        with contextlib.suppress(DiskFull):
            real(store, rows)

    patch.setattr(LogStore, "append", append)


def nobody_counts_the_chunks(patch: Patch) -> None:
    patch.setattr(stores, "check_whole", lambda *_: None)


def anybody_may_release_it(patch: Patch) -> None:
    patch.setattr(MadeUp, "release", lambda shared, _: setattr(shared, "owner", ""))


def anybody_may_trim_it(patch: Patch) -> None:
    real = MadeUp.trim

    def trim(shared: MadeUp, claim: Claim, first: int) -> None:
        real(shared, Claim(shared.epoch, claim.tail), first)

    patch.setattr(MadeUp, "trim", trim)


def taking_over_changes_no_epoch(patch: Patch) -> None:
    real = MadeUp.claim

    def claim(shared: MadeUp, me: str, lease_ms: int) -> Claim | str:
        answer = real(shared, me, lease_ms)
        if isinstance(answer, Claim) and answer.epoch > 1:
            shared.epoch -= 1
            return Claim(shared.epoch, answer.tail)
        return answer

    patch.setattr(MadeUp, "claim", claim)


def a_copy_that_is_behind_will_do(patch: Patch) -> None:
    def take_over(store: LogStore) -> list[Held]:
        claim = store._surely(store._claimed)
        if isinstance(claim, str):
            raise stores.Owned(claim)
        store._claim, store._told_ns = claim, store._monotonic_ns()
        there = store._surely(store._engine.contents)
        store._firsts = {held.number: held.first for held in there.segments}
        return there.segments

    patch.setattr(LogStore, "take_over", take_over)


def one_segment_is_read_for_another(patch: Patch) -> None:
    def fetched(folder: StoreFolder, name: str) -> bytes:
        if not folder._kept[0]:
            folder._kept = (name, folder._read(folder._held[name]))
        return folder._kept[1]

    patch.setattr(StoreFolder, "_fetched", fetched)


def it_never_gives_up(patch: Patch) -> None:
    def wait(store: LogStore, _deadline_ns: int, error: Unsure) -> None:
        if store._monotonic_ns() > 10**12:
            raise AssertionError("it waits for ever") from error
        store._sleep(stores.RETRY_MS)

    patch.setattr(LogStore, "_wait", wait)


FAULTS: tuple[Callable[[Patch], None], ...] = (
    no_answer_is_a_yes,
    no_answer_is_a_no,
    a_deposed_owner_goes_on,
    a_lost_tail_is_taken_for_done,
    no_lease,
    it_never_says_that_it_lives,
    it_gives_no_word_of_its_failure,
    replies_before_the_append,
    an_append_is_many,
    one_chunk_too_many_goes,
    a_segment_too_many_goes,
    a_full_engine_is_a_yes,
    nobody_counts_the_chunks,
    anybody_may_release_it,
    anybody_may_trim_it,
    taking_over_changes_no_epoch,
    a_copy_that_is_behind_will_do,
    one_segment_is_read_for_another,
    it_never_gives_up,
)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.__name__)
def test_without_a_fault_nothing_is_found(detector: Callable[[], None]) -> None:
    detector()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_caught(fault: Callable[[Patch], None], monkeypatch: Patch) -> None:
    test_store.whole_script(1)  # it is kept, and must be that of sound code
    fault(monkeypatch)
    for detector in DETECTORS:
        try:
            detector()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - however it shows
            return
    raise AssertionError(f"nobody notices that {fault.__name__.replace('_', ' ')}")
