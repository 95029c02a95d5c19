"""The log's store on real PostgreSQL: its fence, unknown outcomes, and what it refuses."""

import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from cluster.postgres import Postgres
from magicqueue_server.wal.journal import Deposed, DiskFull, StoreFailed
from magicqueue_server.wal.postgres_schema import make_tables, what_it_means
from magicqueue_server.wal.store import LogStore, Owned, Unsure
from magicqueue_server.wal.store_postgres import PostgresEngine
from magicqueue_server.wal.verdict import Refused
from patience import PATIENCE_S

LEASE_MS = 300
LONG_MS = 10**7


def sleep(span_ms: int) -> None:
    time.sleep(span_ms / 1000)


_stores: list[LogStore] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _stores:
        _stores.pop().close()


def store_of(
    address: str,
    me: str = "one",
    *,
    lease_ms: int = LEASE_MS,
    give_up_ms: int = LONG_MS,
    statement_ms: int = 10_000,
    quorum: bool = False,
) -> LogStore:
    store = LogStore(
        PostgresEngine(address, quorum=quorum, statement_ms=statement_ms),
        me,
        lease_ms=lease_ms,
        give_up_ms=give_up_ms,
        monotonic_ns=time.monotonic_ns,
        sleep=sleep,
    )
    _stores.append(store)
    return store


def contents(store: LogStore) -> bytes:
    """All bytes that the next owner reads."""
    while True:
        try:
            held = store.take_over()
        except Owned:
            sleep(LEASE_MS // 4)
            continue
        return b"|".join(store.read(one) for one in held)


def test_what_was_appended_is_read_by_the_next_owner(log_at: str) -> None:
    first, second = store_of(log_at), store_of(log_at, "two")
    assert first.take_over() == []
    first.append([(1, b"a"), (1, b"b"), (2, b"c" * 3_000_000)])
    first.append()
    first.append([(2, b"d")])
    first.close()
    assert contents(second) == b"ab|" + b"c" * 3_000_000 + b"d"
    second.trim(2)
    second.append([(3, b"e")])
    second.close()
    assert contents(store_of(log_at)) == b"c" * 3_000_000 + b"d|e"


def test_an_old_owner_is_fenced(log_at: str) -> None:
    old, new = store_of(log_at, lease_ms=LONG_MS), store_of(log_at, "two")
    old.take_over()
    old.append([(1, b"a")])
    with pytest.raises(Owned, match="one"):
        store_of(log_at, "two", lease_ms=LONG_MS).take_over()
    sleep(LEASE_MS)
    assert contents(new) == b"a"
    with pytest.raises(Deposed, match="another server has taken over"):
        old.append([(1, b"b")])
    with pytest.raises(Deposed):
        old.append()
    new.append([(2, b"c")])
    old.close()
    new.close()
    assert contents(store_of(log_at)) == b"a|c"


def test_an_owner_that_is_paused_within_an_append_is_waited_for(
    log_at: str, postgres: Postgres
) -> None:
    """The row is locked by it: who takes over reads what it wrote, or it wrote nothing."""
    old, new = store_of(log_at), store_of(log_at, "two", lease_ms=0)
    old.take_over()
    address = log_at.rsplit("/", 1)[1]
    with psycopg.connect(postgres.dsn(address)) as other:
        other.execute("select from mq_shard for update")
        ended: list[object] = []

        def append() -> None:
            try:
                old.append([(1, b"a")])
                ended.append("done")
            except Deposed as error:
                ended.append(error)

        threads = [
            threading.Thread(target=append),
            threading.Thread(target=lambda: ended.append(contents(new))),
        ]
        for thread in threads:
            thread.start()
        sleep(200)
        assert not ended
    for thread in threads:
        thread.join(PATIENCE_S)
    if "done" in ended:
        assert b"a" in ended
    else:
        assert b"" in ended
    old.close()
    new.close()


def test_a_lost_connection_costs_and_doubles_nothing(
    log_at: str, postgres: Postgres
) -> None:
    store = store_of(log_at)
    store.take_over()
    over = threading.Event()

    def cut() -> None:
        while not over.wait(0.05):
            postgres.ask(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'magicqueue'"
            )

    thread = threading.Thread(target=cut)
    thread.start()
    texts = [b"%d." % number for number in range(50)]
    try:
        for text in texts:
            store.append([(1, text)])
    finally:
        over.set()
        thread.join()
    store.close()
    assert contents(store_of(log_at)) == b"".join(texts)


@pytest.fixture
def at_three(three: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"t{abs(hash(request.node.name))}"
    address = three.new_database(name)
    make_tables(address)
    yield address
    for node in three.nodes:
        node.signal(signal.SIGCONT)


def test_a_cancelled_wait_for_the_standbys_is_no_answer(
    at_three: str, three: Postgres
) -> None:
    store = store_of(at_three, quorum=True)
    store.take_over()
    store.append([(1, b"a")])
    for node in three.nodes[1:]:
        node.signal(signal.SIGSTOP)
    done = threading.Event()

    def append() -> None:
        store.append([(1, b"b")])
        done.set()

    thread = threading.Thread(target=append)
    thread.start()
    cancelled = 0
    for _ in range(20):
        sleep(50)
        cancelled += len(
            three.ask(
                "select pg_cancel_backend(pid) from pg_stat_activity"
                " where application_name = 'magicqueue' and wait_event = 'SyncRep'"
            )
        )
    assert cancelled > 1
    assert not done.is_set()
    for node in three.nodes[1:]:
        node.signal(signal.SIGCONT)
    assert done.wait(PATIENCE_S)
    thread.join()
    store.close()
    assert contents(store_of(at_three)) == b"ab"


def test_without_any_standby_nothing_is_acknowledged(
    at_three: str, three: Postgres
) -> None:
    store = store_of(at_three, quorum=True, give_up_ms=800, statement_ms=300)
    store.take_over()
    for node in three.nodes[1:]:
        node.signal(signal.SIGSTOP)
    with pytest.raises(StoreFailed, match=r"gave no answer for 0.8 s"):
        store.append([(1, b"a")])
    with pytest.raises(StoreFailed):
        store.append([(1, b"b")])
    store.close()


def test_a_primary_that_hangs_is_hung_up_on(at_three: str, three: Postgres) -> None:
    store = store_of(at_three, quorum=True, statement_ms=200)
    store.take_over()
    three.primary.signal(signal.SIGSTOP)
    timer = threading.Timer(1.0, three.primary.signal, [signal.SIGCONT])
    timer.start()
    store.append([(1, b"a")])
    timer.join()
    store.append([(1, b"b")])
    store.close()
    assert contents(store_of(at_three)) == b"ab"


def test_standbys_that_are_not_waited_for_any_more_end_the_log(
    at_three: str, three: Postgres
) -> None:
    store = store_of(at_three, quorum=True)
    store.take_over()
    names = three.quorum
    three.set("synchronous_standby_names", "")
    try:
        with pytest.raises(StoreFailed, match="synchronous_standby_names is empty"):
            store.append([(1, b"a")])
        with pytest.raises(StoreFailed, match="synchronous_standby_names is empty"):
            store_of(at_three, quorum=True).take_over()
    finally:
        three.set("synchronous_standby_names", names)


def test_commits_that_wait_for_no_disk_are_refused(log_at: str, postgres: Postgres) -> None:
    name = log_at.rsplit("/", 1)[1]
    for value in ("off", "local", "remote_write"):
        postgres.ask(f"alter database {name} set synchronous_commit = '{value}'")
        with pytest.raises(StoreFailed, match=f"synchronous_commit is {value}"):
            store_of(log_at).take_over()
    postgres.ask(f"alter database {name} reset synchronous_commit")
    postgres.set("fsync", "off")
    try:
        with pytest.raises(StoreFailed, match="fsync is off"):
            store_of(log_at).take_over()
    finally:
        postgres.set("fsync", "on")
    with pytest.raises(StoreFailed, match="synchronous_standby_names is empty"):
        store_of(log_at, quorum=True).take_over()
    store_of(log_at).take_over()


def test_tables_that_are_missing_or_newer_are_refused(
    log_at: str, postgres: Postgres
) -> None:
    with pytest.raises(StoreFailed, match="`magicqueue cluster init`"):
        store_of(postgres.dsn()).take_over()
    with psycopg.connect(log_at, autocommit=True) as connection:
        connection.execute("update mq_schema set version = 99")
    with pytest.raises(StoreFailed, match="tables of version 99"):
        store_of(log_at).take_over()


def test_chunks_that_somebody_took_away_are_missed(log_at: str) -> None:
    store = store_of(log_at)
    store.take_over()
    store.append([(1, b"a"), (1, b"b"), (2, b"c")])
    store.close()
    with psycopg.connect(log_at, autocommit=True) as connection:
        connection.execute("delete from mq_log where lsn = 2")
    with pytest.raises(Refused, match="chunk 2 of 3 is not where it should be"):
        store_of(log_at).take_over()


def test_errors_mean_what_they_should() -> None:
    assert isinstance(what_it_means(psycopg.errors.DiskFull("no space")), DiskFull)
    assert isinstance(what_it_means(psycopg.errors.InsufficientPrivilege("x")), StoreFailed)
    for error in (
        psycopg.OperationalError("the connection is closed"),
        psycopg.errors.AdminShutdown("x"),
        psycopg.errors.ReadOnlySqlTransaction("x"),
        psycopg.errors.UniqueViolation("x"),
    ):
        assert isinstance(what_it_means(error), Unsure)
