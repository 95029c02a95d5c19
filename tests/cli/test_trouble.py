"""No server, wrong usage, Ctrl-C: one sentence and the right exit code."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from cli.terminal import (
    SERVER,
    Running,
    Terminal,
    environment,
    eventually,
    no_traceback,
)
from patience import PATIENCE_S

_EVERY_COMMAND = [
    ["push", "q", "1"],
    ["pull", "q"],
    ["ack", "1"],
    ["fail", "1"],
    ["job", "1"],
    ["cancel", "1"],
    ["promote", "1"],
    ["wait", "1"],
    ["result", "1"],
    ["queues"],
    ["stats"],
    ["stats", "--watch"],
    ["dead", "list", "q"],
    ["dead", "retry", "q", "--all"],
    ["dead", "purge", "q", "--all"],
    ["pause", "q"],
    ["resume", "q"],
    ["drain", "q", "--yes"],
    ["ping"],
    ["bench"],
]
_NAMES = [" ".join(arguments) for arguments in _EVERY_COMMAND]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield server


def _url(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("arguments", _EVERY_COMMAND, ids=_NAMES)
def test_without_a_server_every_command_says_so(
    terminal: Terminal, arguments: list[str]
) -> None:
    refused = terminal.run(*arguments, url=f"unix://{terminal.folder}/none.sock")
    assert (refused.code, refused.out) == (3, "")
    (sentence,) = refused.err.splitlines()
    assert sentence.startswith("magicqueue: no server answers at unix://")
    assert "with --url" in sentence


@pytest.mark.parametrize("arguments", _EVERY_COMMAND, ids=_NAMES)
def test_ctrl_c_ends_every_command_while_it_waits(
    terminal: Terminal, silent: socket.socket, arguments: list[str]
) -> None:
    running = terminal.start(*arguments, url=_url(silent))
    connection, _ = silent.accept()
    with connection:
        assert connection.recv(1)
        running.send(signal.SIGINT)
        ended = running.end()
    assert ended.code in {130, -signal.SIGINT}
    assert ended.err.strip() == ""


def test_ctrl_c_ends_a_command_that_is_connecting(terminal: Terminal) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(("127.0.0.1", port))
        running = terminal.start("ping", url=f"127.0.0.1:{port}")
        eventually(lambda: _is_connecting(running.process.pid, port))
        running.send(signal.SIGINT)
        ended = running.end()
        for one in waiting:
            one.close()
    assert ended.code in {130, -signal.SIGINT}
    assert ended.err.strip() == ""


def _is_connecting(pid: int, port: int) -> bool:
    """Whether a process has a socket in the state SYN_SENT to a port."""
    mine = {
        link.readlink().name
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        to_port = int(fields[2].partition(":")[2], 16)
        if to_port == port and fields[3] == "02" and f"socket:[{fields[9]}]" in mine:
            return True
    return False


def test_a_server_that_is_silent_for_too_long(
    terminal: Terminal, silent: socket.socket
) -> None:
    late = terminal.run("ping", "--timeout", "100ms", url=_url(silent))
    assert late.code == 3
    assert "has not answered within" in late.err


def test_an_address_that_cannot_be_read_is_wrong_usage(terminal: Terminal) -> None:
    for arguments in (["ping", "--url", "localhost:port"], ["ping"]):
        refused = terminal.run(*arguments, url="localhost:port")
        assert refused.code == 2
        assert "the port 'port' is no number" in refused.err


def test_errors_are_json_when_asked_for(terminal: Terminal) -> None:
    refused = terminal.run("ping", "--json", url=f"unix://{terminal.folder}/none.sock")
    assert refused.code == 3
    assert refused.err.startswith('{"ok":false,"error":"no server answers at')


def test_alone_it_prints_help(terminal: Terminal) -> None:
    alone = terminal.run()
    text = alone.out + alone.err
    for word in ("push", "worker", "serve", "Exit codes", "MAGICQUEUE_URL", "bash_source"):
        assert word in text


@pytest.mark.parametrize("command", ["push", "dead", "bench", "worker", "stats"])
def test_every_command_has_help(terminal: Terminal, command: str) -> None:
    assert terminal.ok(command, "--help").out.startswith(f"Usage: magicqueue {command}")


def test_the_overview_says_what_each_command_says() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _COMPARE], check=True, capture_output=True, env=environment()
    )
    assert shown.stdout == b""


_COMPARE = """
import click
from magicqueue.cli.group import _SECTIONS, group
for rows in _SECTIONS.values():
    for name, (module, text) in rows.items():
        command = group.get_command(click.Context(group), name)
        if command is None or command.name != name or not command.help:
            print(name, "is not what the overview says")
"""


def test_a_slip_of_the_finger_is_put_right(terminal: Terminal) -> None:
    slipped = terminal.run("pusj")
    assert slipped.code == 2
    assert "Did you mean 'push'?" in slipped.err


def test_version(terminal: Terminal) -> None:
    assert terminal.ok("--version").out.startswith("magicqueue ")


def test_looking_for_a_command_imports_nothing_needless() -> None:
    program = (
        "import sys; import magicqueue.cli.run, magicqueue.cli.look;"
        " print([m for m in ('rich', 'asyncio', 'magicqueue_server') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, env=environment()
    )
    assert done.stdout.strip() == b"[]"


_installed = pytest.mark.skipif(
    not any(entry.name == "serve" for entry in entry_points(group="magicqueue.commands")),
    reason="the package is not installed, so its entry points are not there",
)


@_installed
def test_serve_runs_the_server(terminal: Terminal) -> None:
    path = terminal.folder / "own.sock"
    server = terminal.start("serve", "--unix-socket", str(path))
    server.wait_for("Ctrl-C stops it.")
    assert "listens on unix:" in server.out
    assert terminal.run("ping", url=f"unix://{path}").code == 0
    server.send(signal.SIGINT)
    ended = server.end()
    assert ended.code == 0
    no_traceback(ended.err)


def test_without_the_servers_package_serve_says_what_to_do(tmp_path: Path) -> None:
    program = (
        "import sys; from importlib import metadata;"
        "metadata.entry_points = lambda **_: ();"
        "from magicqueue.cli.run import run; sys.exit(run(['serve']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        cwd=tmp_path,
        env=environment(),
        text=True,
    )
    assert done.returncode == 1
    assert "belongs to the server, which is not installed here" in done.stderr


def test_a_second_server_on_the_same_port_says_so_in_one_line() -> None:
    first = Running([*SERVER, "--port", "0"], env=environment())
    first.wait_for("listens on")
    port = first.out.splitlines()[0].rpartition(":")[2]
    second = Running([*SERVER, "--port", port], env=environment()).end()
    first.send(signal.SIGTERM)
    assert first.end().code == 0
    assert second.code == 1
    (sentence,) = second.err.splitlines()
    assert f"port {port} of 127.0.0.1 is in use" in sentence


def test_localhost_is_both_kinds_of_address(terminal: Terminal) -> None:
    server = Running([*SERVER, "--port", "0", "--host", "127.0.0.1"], env=environment())
    server.wait_for("listens on")
    port = server.out.splitlines()[0].rpartition(":")[2]
    assert terminal.run("ping", url=f"localhost:{port}").code == 0
    server.send(signal.SIGTERM)
    assert server.end().code == 0
