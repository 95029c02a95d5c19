"""The pytest plugin as a user has it: in plain tests, under pytest-asyncio, under anyio."""

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from magicqueue import SyncQueue
from magicqueue_server.testing import ServerProcess
from patience import PATIENCE_S

_APP: Final = """
from magicqueue import Tasks

tasks = Tasks("mail", url="127.0.0.1:1")
sent = []

@tasks.task
async def welcome(to: str) -> None:
    sent.append(to)
"""
_PLAIN: Final = """
from app import sent, tasks, welcome

def test_plain(magicqueue):
    welcome.push_sync("ada")
    assert [call.args for call in magicqueue.calls(welcome)] == [("ada",)]
    magicqueue.run_all_sync(tasks)
    assert sent.pop() == "ada"

def test_empty(magicqueue):
    assert magicqueue.counts("mail").queued == 0
"""
_ASYNC: Final = """
import pytest
from app import sent, tasks, welcome

pytestmark = pytest.mark.{mark}

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_one(magicqueue):
    await welcome.options(delay=5).push("ada")
    assert not await magicqueue.run_all(tasks)
    magicqueue.advance(5)
    assert len(await magicqueue.run_all(tasks)) == 1
    assert sent.pop() == "ada"

async def test_two(magicqueue):
    await welcome.push("bob")
    await magicqueue.run_all(tasks)
    assert sent.pop() == "bob"
"""


def run_pytest(folder: Path, text: str, *options: str) -> None:
    (folder / "app.py").write_text(_APP)
    (folder / "test_it.py").write_text(text)
    entry = importlib.metadata.entry_points(group="pytest11", name="magicqueue")
    plugin = [] if entry else ["-p", "magicqueue_server.testing.plugin"]
    if importlib.util.find_spec("pytest_asyncio") is not None:
        plugin += ["-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            *plugin,
            *options,
            "-W",
            "error",
            str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_plain_tests(tmp_path: Path) -> None:
    run_pytest(tmp_path, _PLAIN)


@pytest.mark.parametrize(
    ("module", "mark"), [("pytest_asyncio", "asyncio"), ("anyio", "anyio")]
)
@pytest.mark.parametrize("scope", ["function", "session"])
def test_async_tests(tmp_path: Path, module: str, mark: str, scope: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    options = []
    if module == "pytest_asyncio":
        options = ["-o", f"asyncio_default_test_loop_scope={scope}"]
    run_pytest(tmp_path, _ASYNC.format(mark=mark), *options)


def test_a_real_server_is_there_for_integration_tests(
    magicqueue_server: ServerProcess,
) -> None:
    with SyncQueue("q", magicqueue_server.url) as queue:
        number = queue.push({"n": 1})
        job = queue.pull(timeout=5)
        assert job is not None
        assert job.id == number
        queue.ack(job)


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(
        RuntimeError, match=r"(?s)the server did not start: .*no-such-option"
    ):
        ServerProcess("--no-such-option").start()
    server = ServerProcess("--max-queues", "1")
    with server:
        server.start()  # once more is no second server
        assert server.url.startswith("127.0.0.1:")
    server.stop()
