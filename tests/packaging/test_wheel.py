"""The wheel and sdist: what an index would say of them, and what a client's install pulls.

An environment of its own gets the wheel and exactly what it requires without extras. These
are taken from the environment that runs the tests, so nothing has to be downloaded.
"""

import os
import pty
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from patience import PATIENCE_S
from server.process import ServerProcess

ROOT = Path(__file__).parents[2]
ONLY_BASE = {"click", "msgspec", "orjson"}


class Built(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, built as a release would be."""
    folder = tmp_path_factory.mktemp("dist")
    _build(ROOT, folder)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def _build(source: Path, target: Path) -> None:
    env = {n: v for n, v in os.environ.items() if n != "MAGICQUEUE_KERNELS"}
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    done = subprocess.run(
        command, cwd=source, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class Client(NamedTuple):
    """An environment with the wheel and what it requires."""

    bin: Path
    required: set[str]

    def run(self, *command: str, url: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            env={"PATH": "", "MAGICQUEUE_URL": url},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture(scope="module")
def client(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("client")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-compile", built.wheel)
    subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", "--python", python, *install],
        env={"PATH": os.environ["PATH"]},
        check=True,
    )
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    required = _linked(_requires(built.wheel), Path(site))
    return Client(folder / "bin", required)


def _requires(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        text = archive.read(name).decode()
    return re.findall(r"(?m)^Requires-Dist: (.+)$", text)


def _linked(requirements: list[str], site: Path) -> set[str]:
    """Link what is required, with what that requires; gives their names."""
    names: set[str] = set()
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(
            {"extra": ""}
        ):
            continue
        found = metadata.distribution(requirement.name)
        assert found.version in requirement.specifier
        names.add(requirement.name.lower())
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            place = site / top
            if not place.exists():
                place.symlink_to(Path(str(found.locate_file(top))))
        names |= _linked(found.requires or [], site)
    return names


def test_an_index_would_take_them(built: Built) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    _build(source, tmp_path / "dist")
    (again,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(built.wheel) as one, zipfile.ZipFile(again) as other:
        assert set(one.namelist()) == set(other.namelist())
        assert any(name.endswith("http/ui/index.html") for name in one.namelist())
        assert any(name.endswith("magicqueue/py.typed") for name in one.namelist())


def test_a_client_needs_little(client: Client) -> None:
    assert client.required == ONLY_BASE
    program = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
    names = ["rich", "uvloop", "httptools", "numba", "crc32c", "django", "yaml"]
    done = client.run("python", "-c", program.format(names))
    assert done.stdout == "[]\n", done.stderr


def test_each_extra_says_what_it_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(extras) >= {"server", "worker", "cli", "array", "otel", "django"}
    texts = (ROOT / "README.md").read_text() + (ROOT / "docs" / "tasks.md").read_text()
    for extra in extras.keys() - {"persist"}:
        assert f"`{extra}`" in texts, extra


_USE = """
import asyncio, sys
from magicqueue import Queue, SyncQueue, Tasks, Worker
from magicqueue.tasks.service import TaskWorker

tasks = Tasks("mail")

@tasks.task(keep_result=60)
async def double(number: int) -> int:
    return 2 * number

async def main() -> None:
    worker = TaskWorker(tasks)
    await worker.start()
    print(await (await double.push(21)).result())
    await worker.stop()
    await tasks.close()

asyncio.run(main())
"""


def test_a_client_does_its_work(client: Client, tmp_path: Path) -> None:
    socket = tmp_path / "q.sock"
    url = f"unix://{socket}"
    (tmp_path / "app.py").write_text(_USE)
    with ServerProcess("--unix-socket", str(socket), "--core", "python"):
        done = client.run("python", str(tmp_path / "app.py"), url=url)
        assert done.stdout == "42\n", done.stderr
        for command in (["magicqueue"], ["python", "-m", "magicqueue"]):
            pushed = client.run(*command, "push", "q", "1", url=url)
            assert pushed.returncode == 0, pushed.stderr
            shown = client.run(*command, "queues", url=url)
            assert re.search(r"(?m)^q +\d", shown.stdout), shown.stderr
        assert "q  " in _on_a_terminal(client, url, "queues")
    assert "magicqueue 0" in client.run("python", "-m", "magicqueue", "--version").stdout


def _on_a_terminal(client: Client, url: str, command: str) -> str:
    """What it shows to a person; without rich there are no frames."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [client.bin / "magicqueue", command],
        env={"PATH": "", "MAGICQUEUE_URL": url, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        assert process.wait(PATIENCE_S) == 0
        os.close(theirs)
        shown = os.read(ours, 100_000).decode()
    os.close(ours)
    return shown


def test_a_server_runs_without_extras_and_says_what_it_lacks(
    client: Client, tmp_path: Path
) -> None:
    done = client.run("magicqueue", "serve", "--http", "127.0.0.1:0", "--port", "0")
    assert done.returncode == 1
    assert "--http needs httptools, which the extra `server` installs" in done.stderr
    told = client.run(
        *("magicqueue", "doctor", "--unix-socket", str(tmp_path / "q.sock")),
        *("--http", "127.0.0.1:8080"),
    )
    assert told.returncode == 1
    assert "failed   core: http is set, and httptools is not installed" in told.stdout
    assert "warning  core: uvloop is not installed" in told.stdout
    program = (
        "from magicqueue_server.calendars import Calendar; Calendar('0 3 * * *', 'UTC')"
    )
    assert (
        "lacks cronsim, which the extra `server`"
        in client.run("python", "-c", program).stderr
    )
