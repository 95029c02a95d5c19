"""A server for the commands to talk to, and a terminal to type them in."""

import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from cli.terminal import SERVER, Here, Outcome, Running, Terminal, environment
from magicqueue.cli.run import run

_NUMBERS = count(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> None:
    """Processes inherit an ignored SIGINT, which a test run in the background has."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that runs for all tests."""
    path = tmp_path_factory.mktemp("server") / "q.sock"
    server = Running([*SERVER, "--unix-socket", str(path)], env=environment())
    server.wait_for("listens on")
    yield f"unix://{path}"
    server.send(signal.SIGTERM)
    assert server.end().code == 0


@pytest.fixture
def terminal(address: str, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty folder."""
    terminal = Terminal(address, tmp_path)
    yield terminal
    terminal.close()


@pytest.fixture
def here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Here]:
    """What runs a command in this process."""
    for name in ("MAGICQUEUE_URL", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    handlers = {number: signal.getsignal(number) for number in numbers}

    def type_it(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = run(list(arguments))
        return Outcome(code, *capfd.readouterr())

    yield type_it
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def queue() -> str:
    """A queue that no other test uses."""
    return f"queue-{next(_NUMBERS)}"
