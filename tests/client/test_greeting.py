"""HELLO at each connection: what it costs, what it tells, and servers that know none."""

from typing import Any

import pytest

from client.both import CLIENTS, opened, request
from client.fake_server import TELLS, FakeServer, Reply, polite
from magicqueue import ProtocolError, UnknownCommand, Unsupported
from magicqueue.errors import Unauthorized
from magicqueue.protocol import HELLO, Call, Command, Protocol
from magicqueue.refusals import Line
from magicqueue.wire import replies, requests

UNKNOWN = {"ok": False, "error": "there is no command 'HELLO'", "code": "UNKNOWN_COMMAND"}
HELLO_REPLY = (
    b'{"ok":true,"server":"s","version":"1","core":"c","protocol":1,"persistence":"off",'
    b'"limits":{"job_bytes_max":9},"capabilities":["release"]}\n'
)


def stripped(line: Line) -> bytes:
    return bytes(line).strip()


def needing(what: str, cmd: bytes = b"RELEASE") -> Command[Any]:
    return Command(b'{"cmd":"%b"}\n' % cmd, stripped, needs=(what,))


PLAIN = Command(b'{"cmd":"PING"}\n', stripped)


@pytest.mark.parametrize("client", CLIENTS)
def test_each_connection_greets_and_keeps_what_it_is_told(
    client: str, fake: FakeServer
) -> None:
    fake.hello = lambda _: {**TELLS, "limits": {"job_bytes_max": 7}, "extra": [1]}
    with opened(client, "q", fake.url) as queue:
        assert queue.push(1) == 1
        for _ in range(3):
            info = queue.hello()
            assert (info.server, info.limits.job_bytes_max) == ("fake", 7)
            assert info.limits.pull_jobs_max == 10_000
        assert len(fake.greetings) == 1
        assert fake.greetings[0]["client"] == "magicqueue-python"
        fake.cut()
        assert queue.push(2, priority=1) == 2
    assert len(fake.greetings) == 2


def test_hello_goes_out_with_the_first_request() -> None:
    protocol = Protocol()
    first, second = Call(PLAIN), Call(PLAIN)
    assert protocol.send(first) == HELLO.line + PLAIN.line
    assert protocol.send(second) == PLAIN.line
    protocol.receive(HELLO_REPLY)
    assert protocol.server is not None
    assert protocol.server.limits.job_bytes_max == 9
    assert not first.done
    protocol.receive(b'{"ok":true,"n":1}\n{"ok":true,"n":2}\n')
    assert (first.result(), second.result()) == (b'{"ok":true,"n":1}', b'{"ok":true,"n":2}')


def test_a_request_that_needs_something_waits_for_the_answer() -> None:
    protocol = Protocol()
    released, plain, other = Call(needing("release")), Call(PLAIN), Call(needing("other"))
    assert protocol.send(released) == HELLO.line
    assert protocol.send(plain) == PLAIN.line
    assert protocol.send(other) == b""
    assert (released.sent, plain.sent, other.sent) == (False, True, False)
    protocol.receive(HELLO_REPLY)
    assert protocol.take_unwritten() == needing("release").line
    assert isinstance(other.error, Unsupported)
    assert "'other'" in str(other.error)
    assert not other.sent
    late = Call(PLAIN)
    assert protocol.send(late) == PLAIN.line
    later = Call(needing("release"))
    assert protocol.send(later) == needing("release").line
    for number in range(4):
        protocol.receive(b'{"ok":true,"n":%d}\n' % number)
    got = [call.result() for call in (plain, released, late, later)]
    assert got == [b'{"ok":true,"n":%d}' % number for number in range(4)]


def test_lines_let_go_are_never_overtaken() -> None:
    """A callback that sends in the midst of `receive` takes along what was let go."""
    protocol = Protocol()
    written: list[bytes] = []
    inner = Call(PLAIN)

    def on_refused(_: Call[Any]) -> None:
        written.append(protocol.send(inner))

    released = Call(needing("release"))
    protocol.send(released)
    protocol.send(Call(needing("other"), on_refused))
    protocol.receive(HELLO_REPLY)
    assert (
        b"".join(written) + protocol.take_unwritten()
        == needing("release").line + PLAIN.line
    )
    protocol.receive(b'{"ok":true,"n":1}\n{"ok":true,"n":2}\n')
    assert released.result() == b'{"ok":true,"n":1}'
    assert inner.result() == b'{"ok":true,"n":2}'


def test_without_greeting_it_goes_out_when_it_is_needed() -> None:
    protocol = Protocol(greets=False)
    assert protocol.send(Call(PLAIN)) == PLAIN.line
    call = Call(needing("release"))
    assert protocol.send(call) == HELLO.line
    protocol.receive(b'{"ok":true}\n' + HELLO_REPLY)
    assert protocol.take_unwritten() == call.command.line


def test_what_was_held_back_is_given_up_as_not_sent() -> None:
    protocol = Protocol()
    held, sent = Call(needing("release")), Call(PLAIN)
    protocol.send(held)
    protocol.send(sent)
    assert protocol.abandon() == [sent, held]
    assert not held.sent


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_without_hello_works_and_lacks_the_rest(
    client: str, fake: FakeServer
) -> None:
    fake.hello = lambda _: UNKNOWN
    with opened(client, "q", fake.url) as queue:
        assert queue.push(1) == 1
        assert queue.push_batch([1, 2]) == [2, 3]
        with pytest.raises(UnknownCommand):
            queue.hello()
        with pytest.raises(Unsupported, match="does not answer HELLO"):
            request(queue, needing("release"))
        assert queue.push(4) == 4
    assert fake.accepted == 1
    assert not fake.of("RELEASE")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_capability_is_looked_for_before_anything_is_sent(
    client: str, fake: FakeServer
) -> None:
    fake.hello = lambda _: {**TELLS, "capabilities": ["release"]}
    fake.answer = lambda r: {"ok": True} if r["cmd"] == "RELEASE" else polite(r)
    with opened(client, "q", fake.url) as queue:
        assert request(queue, needing("release")) == b'{"ok": true}'
        with pytest.raises(Unsupported, match=r"fake 1\.2.*'fail_options'"):
            request(queue, needing("fail_options", b"FAIL"))
        assert request(queue, needing("release")) == b'{"ok": true}'
    assert [r["cmd"] for r in fake.requests] == ["RELEASE", "RELEASE"]
    assert len(fake.greetings) == 1


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "hello",
    [
        {"ok": True},
        {"ok": True, "id": 101},
        {**TELLS, "capabilities": "release"},
        {**TELLS, "limits": {"job_bytes_max": "9"}},
        {"ok": 1},
    ],
)
def test_a_server_that_misreads_hello_is_met_without_it_again(
    client: str, hello: Reply, fake: FakeServer
) -> None:
    fake.hello = lambda _: hello
    fake.answer = lambda r: {"ok": True, "jobs": []} if r["cmd"] == "PULLB" else polite(r)
    with opened(client, "q", fake.url) as queue:
        with pytest.raises(ProtocolError):
            queue.push(1)
        assert queue.push(2) == 1
        assert queue.pull_batch(1, timeout=0) == []
        assert queue.push(3) == 1
    assert len(fake.greetings) == 2, "one of each channel"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_wants_to_know_who_we_are_refuses(
    client: str, fake: FakeServer
) -> None:
    refusal = {"ok": False, "error": "say who you are", "code": "UNAUTHORIZED"}
    fake.hello = fake.answer = lambda _: refusal
    with opened(client, "q", fake.url) as queue, pytest.raises(Unauthorized, match="who"):
        queue.push(1)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_real_server_tells(client: str, url: str, name: str) -> None:
    with opened(client, name, url) as queue:
        info = queue.hello()
        assert info.server == "magicqueue"
        assert "leases" in info.capabilities


def test_the_hello_line_is_one() -> None:
    assert HELLO.line == requests.encode_request(requests.Hello(client="magicqueue-python"))
    assert isinstance(HELLO.read(HELLO_REPLY), replies.ServerInfo)
