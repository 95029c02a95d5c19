"""The server over real sockets, under every loop and over a core that answers later."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest

from magicqueue_server.app import App
from magicqueue_server.listener import BACKLOG_BYTES_MAX
from magicqueue_server.unread import WRITE_BYTES_HIGH
from server.running import Peer, alone, told, until

Run: TypeAlias = Callable[..., None]
READ_BYTES_MAX = 256 * 1024
"""What a loop reads at a time, at most."""
PING = b'{"cmd":"PING"}'
STATS = b'{"cmd":"STATS"}'
PONG = b'{"ok":true,"pong":true}\n'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
PULL_0 = b'{"cmd":"PULL","queue":"q","timeout":0}'


def inside(app: App) -> int:
    """How many connections the exchange receives from."""
    exchange = app._listener.exchange
    return 0 if exchange is None else len(exchange._connections)


def test_pipelined_lines_over_tcp(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        peer.send(*[PUSH] * 200, *[PULL] * 200)
        for number in range(1, 201):
            assert await peer.reply() == {"ok": True, "id": number}
        for number in range(1, 201):
            assert (await peer.reply())["job"]["id"] == number
        await peer.close()

    run(scenario)


def test_byte_by_byte(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        for byte in PUSH + b"\r\n\n" + PULL + b"\n":
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.reply())["id"] == 1
        assert (await peer.reply())["job"]["data"] == 1
        await peer.close()

    run(scenario)


def test_who_sends_long_lines_is_read_by_the_loop_until_short_ones_come(run: Run) -> None:
    """Where a core receives by itself, that is; all else is alike everywhere."""

    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        long = b'{"cmd":"PUSH","queue":"q","data":"%b"}' % (b"x" * 300_000)
        assert (await peer.ask(PUSH))["id"] == 1
        received = inside(app)
        for number in range(2, 6):
            peer.writer.write(long[:200_000])
            await until(lambda: app.engine.sessions.input_bytes == 200_000)
            assert inside(app) == 0
            peer.writer.write(long[200_000:] + b"\n" + PING + b"\n")
            assert (await peer.reply())["id"] == number
            assert await peer.line() == PONG
            assert inside(app) == 0
            assert await peer.send(PING).line() == PONG
            await until(lambda: inside(app) == received)
            assert await peer.send(PING).line() == PONG
        peer.writer.write(long[:200_000])
        await until(lambda: app.engine.sessions.input_bytes == 200_000)
        peer.writer.write(long[200_000:] + b"\n" + PUSH + b"\n")
        peer.writer.write_eof()
        assert [(await peer.reply())["id"] for _ in range(2)] == [6, 7]
        assert await peer.line() == b""
        await peer.close()

    run(scenario)


def test_a_blocked_pull_is_served_over_another_connection(run: Run) -> None:
    async def scenario(app: App) -> None:
        waiter, other = await Peer.connect(app), await Peer.connect(app)
        waiter.send(PING, PULL, PING)
        assert await waiter.line() == PONG
        assert (await other.ask(PUSH))["id"] == 1
        assert (await waiter.reply())["job"]["id"] == 1
        assert await waiter.line() == PONG
        await waiter.close()
        assert (await other.ask(PULL))["job"]["attempts"] == 2
        await other.close()

    run(scenario)


def test_pulls_time_out_and_delays_end(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        assert (await peer.ask(b'{"cmd":"PULL","queue":"q","timeout":15}'))["job"] is None
        line = b'{"cmd":"PUSH","queue":"q","data":1,"delay":15}'
        assert (await peer.ask(line))["id"] == 1
        assert (await peer.ask(PULL_0))["job"] is None
        job = (await peer.ask(PULL))["job"]
        assert job["run_at"] - job["created_at"] == 15
        await peer.close()

    run(scenario)


def test_a_lease_ends_on_an_idle_server(run: Run) -> None:
    async def scenario(app: App) -> None:
        holder, waiter = await Peer.connect(app), await Peer.connect(app)
        await holder.ask(PUSH)
        assert (await holder.ask(b'{"cmd":"PULL","queue":"q","lease":15}'))["job"]
        assert (await waiter.ask(PULL))["job"]["attempts"] == 2
        await holder.close()
        await waiter.close()

    run(scenario)


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_the_pull_of_a_client_that_is_gone_takes_no_job(run: Run, how: str) -> None:
    async def scenario(app: App) -> None:
        gone, there = await Peer.connect(app), await Peer.connect(app)
        gone.send(PING, PULL)
        assert await gone.line() == PONG
        if how == "reset":
            gone.reset()
        elif how == "close":
            await gone.close()
        else:
            gone.writer.write_eof()
            assert await gone.line() == b""
        await alone(there)
        assert (await there.ask(PUSH))["id"] == 1
        assert (await there.ask(PULL_0))["job"]["attempts"] == 1
        await gone.close()
        await there.close()

    run(scenario)


def test_the_jobs_of_a_client_that_is_gone_come_back(run: Run) -> None:
    async def scenario(app: App) -> None:
        gone, there = await Peer.connect(app), await Peer.connect(app)
        await gone.ask(PUSH)
        assert (await gone.ask(PULL))["job"]["attempts"] == 1
        there.send(PULL)
        gone.reset()
        assert (await there.reply())["job"]["attempts"] == 2
        await there.close()

    run(scenario)


def test_a_half_closed_client_gets_its_replies(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        peer.send(PUSH, PULL, PING)
        peer.writer.write_eof()
        assert (await peer.reply())["id"] == 1
        assert (await peer.reply())["job"]["id"] == 1
        assert await peer.line() == PONG
        assert await peer.line() == b""
        await peer.close()

    run(scenario)


@pytest.mark.looks_inside
def test_a_half_closed_client_that_reads_late_gets_all_its_replies(run: Run) -> None:
    payload = b'"%b"' % (b"x" * 200_000)

    async def scenario(app: App) -> None:
        peer, pusher = await Peer.connect(app), await Peer.connect(app)
        for _ in range(60):
            await pusher.ask(b'{"cmd":"PUSH","queue":"q","data":%b}' % payload)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(*[PULL] * 60, PING)
        peer.writer.write_eof()
        await until(lambda: any(c.session.congested for c in app._listener.connections))
        assert (await pusher.ask(b'{"cmd":"STATS"}'))["processing"] < 60
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for number in range(1, 61):
            assert (await peer.reply())["job"]["id"] == number
        assert await peer.line() == PONG
        assert await peer.line() == b""
        await peer.close()
        await pusher.close()

    run(scenario)


def test_http_is_refused_and_hung_up_on(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        peer.writer.write(b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + PUSH + b"\n")
        assert (await peer.reply())["code"] == "BAD_JSON"
        assert await peer.line() == b""
        peer.writer.write((PUSH + b"\n") * 1000)
        await peer.close()
        other = await Peer.connect(app)
        assert (await other.ask(b'{"cmd":"STATS"}'))["pushed"] == 0
        await other.close()

    run(scenario)


@pytest.mark.parametrize("whole", [False, True])
def test_an_over_long_line_is_answered_and_the_connection_closed(
    run: Run, *, whole: bool
) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        peer.writer.write(PUSH + b"\n" + PULL + b"\n" + b"x" * 2000 + b"\n" * whole)
        assert (await peer.reply())["id"] == 1
        assert (await peer.reply())["job"]["id"] == 1
        refused = await peer.reply()
        assert refused["code"] == "TOO_LARGE"
        assert "1000 bytes" in refused["error"]
        assert await peer.line() == b""
        await peer.close()

    run(scenario, max_line="1000")


def test_the_refusal_reaches_a_client_that_goes_on_sending(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        for _ in range(40):
            peer.writer.write(b"x" * 100_000)
            await peer.writer.drain()
        assert (await peer.reply())["code"] == "TOO_LARGE"
        assert await peer.line() == b""
        await peer.close()

    run(scenario, max_line="1000")


@pytest.mark.looks_inside
def test_unfinished_lines_of_all_connections_are_bounded(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(app: App) -> None:
        peers = [await Peer.connect(app) for _ in range(4)]
        for peer in peers[:3]:
            peer.send(PING).writer.write(b'{"cmd":"PUSH","queue":"q","data":"' + b"x" * 270)
            assert await peer.line() == PONG
        engine = app.engine
        await until(lambda: engine.sessions.input_bytes >= 900)
        kept = engine.sessions.input_bytes
        peers[3].writer.write(b"x" * 200)
        refused = await peers[3].reply()
        assert refused["code"] == "FULL"
        assert "1000 bytes" in refused["error"]
        assert await peers[3].line() == b""
        assert engine.sessions.input_bytes == kept
        (refusal,) = told(caplog)
        assert refusal.startswith("refused with FULL")
        caplog.clear()
        for number, peer in enumerate(peers[:3], 1):
            assert (await peer.ask(b'"}'))["id"] == number
        assert engine.sessions.input_bytes == 0
        for peer in peers:
            await peer.close()

    run(scenario, max_input="1000", max_line="1000")


@pytest.mark.looks_inside
def test_a_closed_connection_gives_its_unfinished_line_back(run: Run) -> None:
    async def scenario(app: App) -> None:
        peer = await Peer.connect(app)
        peer.writer.write(b"x" * 500)
        await until(lambda: app.engine.sessions.input_bytes > 0)
        peer.reset()
        await until(lambda: not app._listener.connections)
        assert app.engine.sessions.input_bytes == 0

    run(scenario)


@pytest.mark.looks_inside
def test_a_slow_reader_stops_itself_and_nobody_else(run: Run) -> None:
    jobs = 400
    pings = 2 * BACKLOG_BYTES_MAX // len(PING)
    payload = b'"%b"' % (b"x" * 50_000)

    async def scenario(app: App) -> None:
        slow, other = await Peer.connect(app), await Peer.connect(app)
        for _ in range(jobs):
            await other.ask(b'{"cmd":"PUSH","queue":"q","data":%b}' % payload)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slow.send(*[PULL] * jobs, *[PING] * pings)
        (session,) = [c.session for c in app._listener.connections if c.session.id == 1]
        while not (session.congested and session.held):
            assert (await other.ask(PING))["pong"]
        stats = await other.ask(b'{"cmd":"STATS"}')
        assert 0 < stats["processing"] < jobs
        assert (await other.ask(PULL))["job"]
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        ids = [(await slow.reply())["job"]["id"] for _ in range(jobs - 1)]
        assert ids == sorted(ids)
        assert len(set(ids)) == jobs - 1
        await other.ask(PUSH)
        assert (await slow.reply())["job"]["id"] == jobs + 1
        for _ in range(pings):
            assert await slow.line() == PONG
        await slow.close()
        await other.close()

    run(scenario)


@pytest.mark.looks_inside
def test_of_those_that_do_not_read_the_slowest_is_closed(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Two stop with at least `WRITE_BYTES_HIGH` unread each, which is too much together."""
    pulls = 12
    data = b'"%b"' % (b"x" * 900_000)

    async def scenario(app: App) -> None:
        other = await Peer.connect(app)
        for _ in range(2 * pulls):
            await other.ask(b'{"cmd":"PUSH","queue":"q","data":%b}' % data)
        slowest, slow = await Peer.connect(app), await Peer.connect(app)
        slowest.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slowest.send(*[PULL] * pulls)
        while not (await other.ask(STATS))["output_bytes"]:
            pass
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slow.send(*[PULL] * pulls)
        while (await other.ask(STATS))["connections"] == 3:
            pass
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert all([(await slow.reply())["job"] for _ in range(pulls)])
        stats = await other.ask(STATS)
        assert stats["output_bytes"] == 0
        assert stats["connections"] == 2
        assert (stats["queued"], stats["processing"]) == (pulls, pulls)
        (refusal,) = told(caplog)
        assert refusal.startswith("closed a client that reads no replies")
        caplog.clear()
        for peer in (slowest, slow, other):
            await peer.close()

    run(scenario, max_output=str(2 * WRITE_BYTES_HIGH))


@pytest.mark.looks_inside
def test_a_large_backlog_behind_a_blocked_pull_is_held_and_then_run(run: Run) -> None:
    async def scenario(app: App) -> None:
        waiter, other = await Peer.connect(app), await Peer.connect(app)
        waiter.send(PULL, *[PING] * 100_000)
        (session,) = [c.session for c in app._listener.connections if c.session.id == 1]
        while not session.held:
            assert (await other.ask(PING))["pong"]
        assert session.backlog_bytes <= BACKLOG_BYTES_MAX + READ_BYTES_MAX
        await other.ask(PUSH)
        assert (await waiter.reply())["job"]["id"] == 1
        for _ in range(100_000):
            assert await waiter.line() == PONG
        await waiter.close()
        await other.close()

    run(scenario)


def test_stopping_answers_those_who_wait_and_lets_jobs_be_settled(run: Run) -> None:
    async def scenario(app: App) -> None:
        waiter, holder = await Peer.connect(app), await Peer.connect(app)
        await holder.ask(PUSH)
        await holder.ask(PULL)
        waiter.send(PING, PULL)
        assert await waiter.line() == PONG
        app.stop()
        assert (await waiter.reply())["job"] is None
        assert (await holder.ask(PUSH))["code"] == "SHUTTING_DOWN"
        assert (await holder.ask(PULL))["code"] == "SHUTTING_DOWN"
        assert await holder.ask(b'{"cmd":"ACK","id":1}') == {"ok": True}
        assert await holder.line() == b""
        assert await waiter.line() == b""
        await waiter.close()
        await holder.close()

    run(scenario, shutdown_grace="60s")


def test_a_stop_waits_no_longer_than_its_grace(run: Run) -> None:
    async def scenario(app: App) -> None:
        holder = await Peer.connect(app)
        await holder.ask(PUSH)
        await holder.ask(PULL)
        app.stop()
        assert await holder.line() == b""
        await holder.close()

    run(scenario, shutdown_grace="20ms")


@pytest.mark.looks_inside
def test_uptime_counts_from_the_start(run: Run) -> None:
    async def scenario(app: App) -> None:
        started = app._clock.now_ms()
        await until(lambda: app._clock.now_ms() >= started + 5)
        peer = await Peer.connect(app)
        assert (await peer.ask(b'{"cmd":"STATS"}'))["uptime_ms"] >= 5
        await peer.close()

    run(scenario)
