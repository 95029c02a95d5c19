"""The server as a process: signals, exit codes, what it says, and the machine's limits."""

import resource
import signal
import socket
import tempfile
import time
from pathlib import Path
from statistics import median

import pytest

from server.process import BlockingPeer, ServerProcess, run_serve

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
PING = b'{"cmd":"PING"}'
PONG = b'{"ok":true,"pong":true}\n'
PUSH = b'{"cmd":"PUSH","queue":"q","data":1}'
PULL = b'{"cmd":"PULL","queue":"q"}'
NO_JOB = b'{"ok":true,"job":null}\n'
MIB = 2**20
HARD_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@LOOPS
def test_what_it_says_when_it_starts(loop: str) -> None:
    with ServerProcess("--loop", loop, "--core", "python") as server:
        assert server.announced[0].startswith("magicqueue ")
        assert server.place == f"127.0.0.1:{server.port}"
        assert server.announced[1] == f"python core on {loop}"
        assert "a restart loses them" in server.announced[2]
        code, err = server.stop()
    assert code == 0
    assert "warning" not in err


def test_it_says_what_was_set_by_others_than_flags() -> None:
    options = ("--core", "python", "--max-lost", "9")
    with ServerProcess(*options, env={"MAGICQUEUE_MAX_JOBS": "5"}) as server:
        assert server.announced[3:] == [
            "not set by a flag: max_jobs = 5 (environment MAGICQUEUE_MAX_JOBS)",
            "Ctrl-C stops it.",
        ]


def test_it_warns_when_others_can_reach_it() -> None:
    with ServerProcess("--host", "0.0.0.0", "--insecure") as server:
        code, err = server.stop()
    assert code == 0
    assert "there are no tokens" in err


@LOOPS
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(
    loop: str, signal_number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "mq.sock"
    with (
        ServerProcess("--loop", loop, "--unix-socket", str(path)) as server,
        server.connect() as waiter,
        server.connect() as holder,
    ):
        holder.ask(PUSH)
        assert b'"id":1' in holder.ask(PULL)
        assert waiter.send(PING, PULL).line() == PONG
        server.process.send_signal(signal_number)
        assert waiter.line() == NO_JOB
        assert b"SHUTTING_DOWN" in holder.ask(PUSH)
        assert holder.ask(b'{"cmd":"ACK","id":1}') == b'{"ok":true}\n'
        assert holder.line() == b""
        code, err = server.wait()
        assert code == 0
    assert not path.exists()
    assert "Traceback" not in err
    assert f"stopping signal={signal_number.name}" in err


@LOOPS
def test_a_second_signal_ends_it_at_once(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"
    with (
        ServerProcess(
            *("--loop", loop, "--unix-socket", str(path), "--shutdown-grace", "1h")
        ) as server,
        server.connect() as holder,
    ):
        holder.ask(PUSH)
        holder.ask(PULL)
        server.process.send_signal(signal.SIGTERM)
        while b"SHUTTING_DOWN" not in holder.ask(PUSH):
            pass
        assert server.stop(signal.SIGINT)[0] == 130
    assert not path.exists()


def test_ctrl_c_leaves_no_traceback() -> None:
    with ServerProcess() as server:
        code, err = server.stop(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err


@LOOPS
def test_a_port_in_use_is_said_in_one_line(loop: str) -> None:
    with ServerProcess() as server:
        result = run_serve("--port", str(server.port), "--loop", loop)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert f"port {server.port} of 127.0.0.1 is in use" in line


def test_a_live_unix_socket_is_said_in_one_line(tmp_path: Path) -> None:
    path = str(tmp_path / "mq.sock")
    with ServerProcess("--unix-socket", path) as server:
        result = run_serve("--unix-socket", path)
        with server.connect() as peer:
            assert peer.ask(PING) == PONG
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "another server is running" in line


def test_a_socket_left_by_a_kill_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mq.sock"
    with ServerProcess("--unix-socket", str(path)) as server:
        server.process.kill()
        server.process.wait()
    assert path.is_socket()
    with ServerProcess("--unix-socket", str(path)) as server, server.connect() as peer:
        assert peer.ask(PING) == PONG


def test_print_config_shows_values_and_sources(tmp_path: Path) -> None:
    path = tmp_path / "mq.toml"
    path.write_text('lease = "7s"\nmax_jobs = 5\n')
    result = run_serve(
        *("--config", str(path), "--lease", "9s", "--print-config"),
        env={
            "PORT": "7000",
            "UNIX_SOCKET": "1",
            "MAGICQUEUE_MAX_JOBS": "6",
            "PERSIST": "1",
        },
    )
    assert result.returncode == 0
    lines = {line.split(" = ")[0]: line for line in result.stdout.splitlines()[1:]}
    for name, text, source in (
        ("lease", '"9s"', "flag --lease"),
        ("port", "7000", "environment PORT"),
        ("unix_socket", '"1"', "environment UNIX_SOCKET"),
        ("max_jobs", "6", "environment MAGICQUEUE_MAX_JOBS"),
        ("persist", "true", "environment PERSIST"),
        ("max_lost", "3", "default"),
    ):
        assert lines[name].startswith(f"{name} = {text} ")
        assert lines[name].endswith(f"# {source}")


def test_unix_socket_1_is_the_originals_place(tmp_path: Path) -> None:
    env = {"UNIX_SOCKET": "1", "TMPDIR": str(tmp_path)}
    with ServerProcess(env=env) as server, server.connect() as peer:
        assert server.place == f"unix:{tmp_path / 'magic-queue.sock'}"
        assert peer.ask(PING) == PONG
    assert Path(tempfile.gettempdir()) != tmp_path


@pytest.mark.parametrize(
    ("options", "env", "code", "words"),
    [
        (("--port", "70000"), {}, 2, "port must be a port from 0 to 65535"),
        ((), {"PORT": "x"}, 2, "from environment PORT"),
        (("--lease", "soon"), {}, 2, "flag --lease"),
        (("--config", "/no/such.toml"), {}, 2, "cannot read the config file /no/such.toml"),
        (("--host", "no-such-host.invalid"), {}, 1, "cannot listen on"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    options: tuple[str, ...], env: dict[str, str], code: int, words: str
) -> None:
    result = run_serve(*options, env=env)
    assert result.returncode == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("magicqueue serve: ")
    assert words in line
    assert result.stdout == ""


@LOOPS
def test_what_clients_send_cannot_forge_log_lines(loop: str) -> None:
    evil = b"x\\r\\n2026-01-01T00:00:00.000Z error   forged \\u001b[31m"
    with ServerProcess("--loop", loop, "--log-level", "debug") as server:
        with server.connect() as peer:
            peer.ask(b'{"cmd":"HELLO","client":"%b"}' % evil)
            peer.ask(b'{"cmd":"%b"}' % evil)
            peer.ask(b'{"cmd":"PUSH","queue":"%b","data":1}' % evil)
            peer.ask(b'{"cmd":"FAIL","id":1,"error":"%b"}' % evil)
        with server.connect() as peer:
            peer.ask(b"forged\r\x1b[31m")
        code, err = server.stop()
    assert code == 0
    assert all(line.isprintable() for line in err.splitlines())
    assert {line.split()[1] for line in err.splitlines()} == {"debug", "info"}
    assert not any(line.startswith("2026-01-01T00:00:00.000Z") for line in err.splitlines())


@LOOPS
def test_delayed_jobs_are_ready_within_10_ms_on_an_idle_server(loop: str) -> None:
    """The control is a sleep of this process, which is late where the machine is busy."""
    late_ms: list[float] = []
    control_ms: list[float] = []
    with ServerProcess("--loop", loop) as server, server.connect() as peer:
        for number in range(30):
            delay = 5 + number % 7
            peer.ask(b'{"cmd":"PUSH","queue":"q","data":1,"delay":%d}' % delay)
            job = peer.ask(PULL)
            run_at = int(job.split(b'"run_at":')[1].split(b",")[0])
            late_ms.append(time.time() * 1000 - run_at)
            awake_ms = time.time() * 1000 + delay
            time.sleep(delay / 1000)
            peer.ask(PING)
            control_ms.append(time.time() * 1000 - awake_ms)
    assert min(late_ms) >= -1
    assert median(late_ms) < 10 + 10 * median(control_ms)


@LOOPS
def test_a_client_that_does_not_read_takes_no_memory(loop: str) -> None:
    data = b'"%b"' % (b"x" * 10**6)
    with ServerProcess("--loop", loop) as server, server.connect() as other:
        for _ in range(32):
            other.send(b'{"cmd":"PUSH","queue":"q","data":%b}' % data)
            assert b'"id"' in other.line()
        before = server.memory_bytes()
        with server.connect() as slow:
            for _ in range(20):
                slow.send(
                    b'{"cmd":"PULLB","queue":"q","count":32,"lease":1}',
                    b'{"cmd":"STATS"}',
                )
            slow.sock.settimeout(0.2)
            sent = _send_until_stuck(slow, (PING + b"\n") * 4000)
            assert sent < 64 * MIB, "the server stops reading"
            assert other.ask(PING) == PONG, "others are served"
            assert server.memory_bytes() - before < 96 * MIB
        assert other.ask(PING) == PONG


def _send_until_stuck(peer: BlockingPeer, piece: bytes) -> int:
    sent = 0
    try:
        while sent < 64 * MIB:
            sent += peer.sock.send(piece)
    except TimeoutError:
        pass
    return sent


@LOOPS
@pytest.mark.parametrize("core", ["python", "auto"])
def test_ten_thousand_idle_connections_take_200_mib_at_most(loop: str, core: str) -> None:
    """The python core's whole server; for others what the connections add to it.

    A jit compiler alone maps half of this, before the first connection.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    if hard < wanted + 100:
        pytest.skip(f"this machine allows {hard} open files")
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle: list[socket.socket] = []
    try:
        with (
            ServerProcess("--loop", loop, "--core", core) as server,
            server.connect() as peer,
        ):
            assert peer.ask(PING) == PONG
            before = 0 if core == "python" else server.memory_bytes()
            place = ("127.0.0.1", server.port)
            idle.extend(socket.create_connection(place) for _ in range(wanted))
            while b'"connections":%d,' % (wanted + 1) not in peer.ask(b'{"cmd":"STATS"}'):
                pass
            assert server.memory_bytes() - before <= 200 * MIB
            assert peer.ask(PING) == PONG
            code, err = server.stop()
            assert (code, "Traceback" in err) == (0, False)
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def _answers_again(server: ServerProcess) -> bool:
    """Connect until it works: the server may not know yet that others are gone."""
    for _ in range(100):
        try:
            with server.connect() as late:
                if late.ask(PING) == PONG:
                    return True
        except ConnectionError:
            continue
    return False


def _files_may_be(server: ServerProcess, most: int) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, HARD_FILES))


@LOOPS
def test_who_comes_while_no_descriptor_is_left_waits_and_is_served_later(loop: str) -> None:
    """With a control: those who are there are served meanwhile."""
    with (
        ServerProcess("--loop", loop, "--core", "python") as server,
        server.connect() as first,
    ):
        assert first.ask(PING) == PONG
        open_files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        _files_may_be(server, open_files)
        crowd = [server.connect().send(PING) for _ in range(20)]
        while "raise ulimit -n" not in server.errors():
            assert first.ask(PING) == PONG
        _files_may_be(server, HARD_FILES)
        assert [peer.line() for peer in crowd] == [PONG] * 20
        for peer in crowd:
            peer.__exit__()
        code, err = server.stop()
    assert code == 0
    (told,) = [line for line in err.splitlines() if "raise ulimit -n" in line]
    assert "WARNING" in told.upper()
    assert "Traceback" not in err


@LOOPS
def test_a_heartbeat_sent_while_the_server_stood_still_counts(loop: str) -> None:
    """With a control: the lease of a worker that sent none is over afterwards."""
    pull = b'{"cmd":"PULL","queue":"q","lease":1000}'
    with (
        ServerProcess("--loop", loop, "--core", "python") as server,
        server.connect() as alive,
        server.connect() as silent,
        server.connect() as other,
    ):
        other.ask(PUSH)
        other.ask(PUSH)
        assert b'"id":1,' in alive.ask(pull)
        assert b'"id":2,' in silent.ask(pull)
        server.process.send_signal(signal.SIGSTOP)
        try:
            alive.send(b'{"cmd":"HEARTBEAT","ids":[1],"lease":600000}')
            time.sleep(1.5)
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert b'"ok":true' in alive.line()
        taken = other.ask(b'{"cmd":"PULL","queue":"q","timeout":60000}')
        assert b'"id":2,' in taken
        assert other.ask(b'{"cmd":"PULL","queue":"q","timeout":0}') == NO_JOB
        assert alive.ask(b'{"cmd":"ACK","id":1,"attempt":1}') == b'{"ok":true}\n'


@LOOPS
def test_it_survives_running_out_of_file_descriptors(loop: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    options = ("--loop", loop, "--core", "python")
    with ServerProcess(*options, before=limit) as server, server.connect() as first:
        assert first.ask(PING) == PONG
        crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
        for _ in range(200):
            assert first.ask(PING) == PONG, "those who are there are served"
        for sock in crowd:
            sock.close()
        assert _answers_again(server), "it accepts again"
        code, err = server.stop()
        assert code == 0
        assert len(err.splitlines()) < 10
