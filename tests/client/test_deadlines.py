"""How long a reply may take, and how large it may be, with both clients."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from client.both import CLIENTS, opened
from client.fake_server import TELLS, FakeServer, Request
from magicqueue import ProtocolError, RequestTimeout, commands
from magicqueue.encoding import Batch
from magicqueue.protocol import LEAST_BYTES_PER_S, Call, Command, Protocol
from magicqueue.refusals import Line
from magicqueue.wire.limits import Limits

TIMEOUT_S = 0.3


class Dripping:
    """Answers by what `piece` gives, now and then, until the client hangs up or `end`."""

    def __init__(self, fake: FakeServer, piece: Callable[[int], bytes]) -> None:
        self.pieces = 0
        self._piece = piece
        self._end = threading.Event()
        fake.behave = self._behave

    def _behave(self, connection: socket.socket, _: Request) -> None:
        with contextlib.suppress(OSError):
            while not self._end.wait(TIMEOUT_S / 10):
                connection.sendall(self._piece(self.pieces))
                self.pieces += 1

    def end(self) -> None:
        self._end.set()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "piece",
    [
        lambda _: b"\n",
        lambda _: b" ",
        lambda _: b"\r\n \t\n",
        lambda n: b'{"ok":true'[n : n + 1] or b" ",
        lambda n: b'{"ok":true,"id":1' if not n else b"1",
    ],
    ids=["lines", "spaces", "white", "letters", "digits"],
)
def test_no_drip_puts_the_end_off(
    client: str, piece: Callable[[int], bytes], fake: FakeServer
) -> None:
    drip = Dripping(fake, piece)
    try:
        with opened(client, "q", fake.url, timeout=TIMEOUT_S) as queue:
            with pytest.raises(RequestTimeout, match=r"within 0\.3 s"):
                queue.push(1)
            assert drip.pieces > 1, "it was heard of, and yet ended"
    finally:
        drip.end()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_dripping_answer_to_a_pull_ends_too(client: str, fake: FakeServer) -> None:
    drip = Dripping(fake, lambda _: b"\n")
    try:
        with (
            opened(client, "q", fake.url, timeout=TIMEOUT_S) as queue,
            pytest.raises(RequestTimeout, match=r"within 0\.7 s"),
        ):
            queue.pull(timeout=0.4)
    finally:
        drip.end()


@pytest.mark.parametrize("client", CLIENTS)
def test_each_of_many_answers_has_a_time_of_its_own(client: str, fake: FakeServer) -> None:
    """What many take together may be longer than one may take."""

    def behave(connection: socket.socket, request: Request) -> None:
        time.sleep(TIMEOUT_S / 2)
        ids = range(len(request["jobs"]))
        reply = {"ok": True, "ids": [behave.next + n for n in ids]}  # type: ignore[attr-defined]
        behave.next += len(ids)  # type: ignore[attr-defined]
        connection.sendall(json.dumps(reply).encode() + b"\n")

    behave.next = 1  # type: ignore[attr-defined]
    fake.behave = behave
    with opened(client, "q", fake.url, timeout=TIMEOUT_S * 3) as queue:
        started = time.monotonic()
        assert queue.push_many(range(8), batch_size=1, window=8) == list(range(1, 9))
        assert time.monotonic() - started > TIMEOUT_S * 3


def test_time_grows_with_size_only() -> None:
    protocol = Protocol(greets=False)
    protocol.send(Call(commands.pull("q", 9, 0, None)))
    small = protocol.transfer_s
    assert small < 0.01
    protocol.receive(b'{"ok":true,"jobs":[' + b" " * LEAST_BYTES_PER_S * 3)
    assert 3 <= protocol.transfer_s < 3.01
    other = Protocol(greets=False)
    other.send(Call(commands.pull("q", 9, 0, None)))
    other.receive(b" " * LEAST_BYTES_PER_S * 3)
    assert other.transfer_s == small
    other.send(Call(commands.push("q", b'{"data":1}')))
    large = Protocol(greets=False)
    large.send(Call(commands.push("q", b'{"data":"%b"}' % bytes(LEAST_BYTES_PER_S))))
    assert 1 <= large.transfer_s < 1.01


def hold(command: Any, limits: dict[str, int] | None = None) -> int:
    """Give how much of an endless reply to a command is taken."""
    protocol = Protocol()
    protocol.send(Call(command))
    hello = {**TELLS, "limits": limits or {}}
    protocol.receive(json.dumps(hello).encode() + b"\n")
    piece = b"x" * 2**16
    protocol.receive(b'{"ok":true,"')
    for taken in range(0, 2**28, len(piece)):
        try:
            protocol.receive(piece)
        except ProtocolError as error:
            if "too large" in str(error):
                return taken
            raise
    pytest.fail("there is no end to it")


def test_a_reply_is_no_larger_than_what_was_asked_for() -> None:
    assert hold(commands.push("q", b'{"data":1}')) <= 2**16
    assert hold(commands.ping()) <= 2**16
    assert hold(commands.push_batch("q", Batch(b"", 10_000))) < 2**19
    assert hold(commands.ack(list(range(1, 10_000)))) < 2**19
    small = {"line_bytes_max": 2**20, "job_bytes_max": 2**19}
    told = {**small, "reply_payload_bytes_max": 2**21}
    assert 2**21 <= hold(commands.pull("q", 10, 0, None), told) < 2**22
    assert 2**21 <= hold(commands.dead("q", 10, None), told) < 2**22
    assert hold(commands.job(1), told) < 2**22
    default = Limits()
    most = hold(commands.pull("q", 10, 0, None))
    assert default.reply_payload_bytes_max < most < 2 * default.line_bytes_max


def test_a_server_that_tells_odd_limits_is_not_believed_beyond_reason() -> None:
    for told in (-(10**9), 0):
        limits = {"line_bytes_max": told, "reply_payload_bytes_max": told}
        assert hold(commands.pull("q", 1, 0, None), limits) < 2**22


@pytest.mark.parametrize("client", CLIENTS)
def test_an_endless_reply_ends(client: str, fake: FakeServer) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b'{"ok":true,"id":1')
            while True:
                connection.sendall(b"1" * 2**16)

    fake.behave = behave
    with (
        opened(client, "q", fake.url) as queue,
        pytest.raises(ProtocolError, match="too large"),
    ):
        queue.push(1)


def test_a_large_reply_is_not_copied_whole() -> None:
    """It is read from the buffer that it grew in."""
    protocol = Protocol(greets=False)
    pull = commands.pull("q", 1, 0, None)
    lines: list[Line] = []

    def read(line: Line) -> Any:
        lines.append(line)
        return pull.read(line)

    call = Call(Command(pull.line, read, holds_data=True))
    protocol.send(call)
    reply = {
        "id": 1,
        "queue": "q",
        "data": "x" * 2**20,
        "priority": 0,
        "created_at": 1,
        "run_at": 1,
        "attempts": 1,
    }
    line = json.dumps({"ok": True, "jobs": [reply]}).encode() + b"\n"
    for start in range(0, len(line), 2**16):
        protocol.receive(line[start : start + 2**16])
    (job,) = call.result()
    assert len(job.raw) == 2**20 + 2
    assert job.data == "x" * 2**20
    assert [(type(whole), len(whole)) for whole in lines] == [(bytearray, len(line))]


@pytest.mark.parametrize("size", [1, 7, 4096, 10**6])
def test_replies_in_pieces_of_any_size(size: int) -> None:
    lines = [b'{"ok":true,"id":%d}' % n for n in range(1, 200)]
    wire = b"\n\n".join(lines) + b"\n \n\n"
    protocol = Protocol(greets=False)
    calls = [Call(commands.push("q", b'{"data":1}')) for _ in lines]
    for call in calls:
        protocol.send(call)
    for start in range(0, len(wire), size):
        protocol.receive(wire[start : start + size])
    assert [call.result() for call in calls] == [[n] for n in range(1, 200)]
