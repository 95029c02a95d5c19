"""Rounds of feeds over real sockets: what is received, run, answered and left to Python."""

import select
import socket
from collections.abc import Iterator

import pytest

from conformance.driver import START_MS, require_core
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_cores.kernels import layout as lo
from magicqueue_cores.line_contract import Feed

PUSH = b'{"cmd":"PUSH","queue":"q","data":1}\n'
PING = b'{"cmd":"PING"}\n'


class Peers:
    """A core, an epoll descriptor, and pairs of sockets whose one end it watches."""

    def __init__(self) -> None:
        self.core = ArrayCore(CoreOptions())
        self.core.push("q", NewJobs(payloads=[b"0"], run_ats_ms=START_MS), START_MS)
        self.epoll = select.epoll()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []

    def add(self, session: int) -> tuple[socket.socket, int]:
        """Connect; gives the client's end and the server's descriptor."""
        client, server = socket.socketpair()
        server.settimeout(0)
        client.settimeout(0)
        self.pairs.append((client, server))
        flags = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
        self.epoll.register(server.fileno(), flags)
        self.core.feeds.let_run(server.fileno(), session)
        return client, server.fileno()

    def round(self) -> list[Feed]:
        feeds = self.core.feeds
        feeds.receive(self.epoll.fileno())
        feeds.run(START_MS)
        feeds.send()
        left = list(feeds.unfinished())
        self.core.check()
        return left

    def close(self) -> None:
        self.epoll.close()
        for client, server in self.pairs:
            client.close()
            server.close()


@pytest.fixture
def peers() -> Iterator[Peers]:
    require_core("array")
    made = Peers()
    yield made
    made.close()


def pushed(job_id: int) -> bytes:
    return b'{"ok":true,"id":%d}\n' % job_id


def test_each_is_answered_on_its_own_connection(peers: Peers) -> None:
    clients = [peers.add(session)[0] for session in range(1, 41)]
    for client in clients:
        client.send(PUSH + PUSH)
    assert peers.round() == []
    ids = [client.recv(100) for client in clients]
    assert sorted(ids) == sorted(pushed(n) + pushed(n + 1) for n in range(2, 82, 2))
    assert peers.round() == [], "nothing is received twice"


def test_jobs_are_leased_to_the_session_of_the_descriptor(peers: Peers) -> None:
    client, _ = peers.add(7)
    client.send(b'{"cmd":"PULL","queue":"q"}\n')
    assert peers.round() == []
    assert b'"id":1' in client.recv(500)
    peers.core.close_session(7, START_MS)
    assert peers.core.stats(START_MS).queued == 1


def test_a_line_that_is_not_for_kernels_is_left_with_all_behind_it(peers: Peers) -> None:
    client, descriptor = peers.add(1)
    client.send(PUSH + PING + PUSH)
    (feed,) = peers.round()
    assert feed == Feed(descriptor, len(PUSH + PING + PUSH), PING + PUSH, b"", more=False)
    assert client.recv(100) == pushed(2), "what ran before is answered"


def test_a_part_of_a_line_is_left(peers: Peers) -> None:
    client, descriptor = peers.add(1)
    client.send(PUSH + PUSH[:9])
    (feed,) = peers.round()
    assert feed == Feed(descriptor, len(PUSH) + 9, PUSH + PUSH[:9], b"", more=False)


def test_nothing_runs_that_may_not_run_at_once(peers: Peers) -> None:
    client, descriptor = peers.add(0)
    client.send(PUSH)
    (feed,) = peers.round()
    assert feed == Feed(descriptor, len(PUSH), PUSH, b"", more=False)
    peers.core.feeds.let_run(descriptor, 3)
    client.send(PUSH)
    assert peers.round() == []


def test_the_end_of_a_connection_is_told(peers: Peers) -> None:
    client, descriptor = peers.add(1)
    client.send(PUSH)
    client.shutdown(socket.SHUT_WR)
    (feed,) = peers.round()
    assert feed == Feed(descriptor, len(PUSH), b"", b"", more=True)
    assert client.recv(100) == pushed(2)


def test_more_than_a_feed_takes_is_told(peers: Peers) -> None:
    client, _ = peers.add(1)
    lines = PING * (lo.FEED_BYTES_MAX // len(PING) + 2)
    assert client.send(lines) == len(lines)
    (feed,) = peers.round()
    assert (feed.rest, feed.more) == (lines[: lo.FEED_BYTES_MAX], True)
    assert peers.round() == [], "an event comes once"


def test_a_round_is_bounded_and_the_next_goes_on_with_the_others(peers: Peers) -> None:
    lines = b" \n" * (lo.FEED_BYTES_MAX // 2)
    clients = [peers.add(session)[0] for session in range(1, 31)]
    for client in clients:
        assert client.send(lines) == len(lines)
    seen: list[int] = []
    rounds = 0
    while len(seen) < len(clients):
        fed = [feed.descriptor for feed in peers.round()]
        assert 0 < len(fed) < len(clients)
        assert peers.core.feeds.more == (len(seen) + len(fed) < len(clients))
        seen += fed
        rounds += 1
    assert len(set(seen)) == len(clients), "each had its turn before any had two"
    assert rounds > 1


def test_what_a_connection_does_not_take_is_given_back(peers: Peers) -> None:
    client, _ = peers.add(1)
    peers.pairs[0][1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = b'{"cmd":"PUSH","queue":"q","data":"%b"}\n' % (b"x" * 50_000)
    client.send(data)
    assert peers.round() == []
    assert client.recv(100) == pushed(2)
    client.send(b'{"cmd":"PULLB","queue":"q","count":2}\n')
    (feed,) = peers.round()
    got = client.recv(10**6)
    assert min(len(got), len(feed.unsent)) > 0
    whole = got + feed.unsent
    assert whole.startswith(b'{"ok":true,"jobs":[{"id":1,')
    assert whole.endswith(b"]}\n")


def test_a_descriptor_that_was_closed_is_not_taken_for_its_successor(peers: Peers) -> None:
    lines = b" \n" * (lo.FEED_BYTES_MAX // 2)
    added = [peers.add(session) for session in range(1, 31)]
    for client, _ in added:
        client.send(lines)
    fed = {feed.descriptor for feed in peers.round()}
    closed = next(descriptor for _, descriptor in added if descriptor not in fed)
    peers.core.feeds.forget(closed)
    while peers.core.feeds.more:
        assert closed not in {feed.descriptor for feed in peers.round()}


def test_replies_may_be_taken_instead_of_sent(peers: Peers) -> None:
    client, descriptor = peers.add(1)
    client.send(PUSH)
    feeds = peers.core.feeds
    feeds.receive(peers.epoll.fileno())
    feeds.run(START_MS)
    assert list(feeds.replies()) == [(descriptor, pushed(2))]
    assert list(feeds.unfinished()) == []
    with pytest.raises(BlockingIOError):
        client.recv(100)


def test_a_round_may_be_skipped(peers: Peers) -> None:
    client, descriptor = peers.add(1)
    client.send(PUSH)
    feeds = peers.core.feeds
    feeds.receive(peers.epoll.fileno())
    feeds.skip()
    feeds.send()
    assert list(feeds.unfinished()) == [Feed(descriptor, len(PUSH), PUSH, b"", more=False)]
