"""Fixtures: the executables in dist/, in an environment where no Python can be reached.

`make test-dist` names this folder; pytest by itself passes by folders of this name.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def folder_executable() -> str:
    """The executable of the standalone folder."""
    path = os.environ.get("MAGICQUEUE_TEST_EXECUTABLE")
    if path is None:
        pytest.skip("`make test-dist` tests the executables that `make dist` builds")
    return path


@pytest.fixture(scope="session")
def single_executable(folder_executable: str) -> str:
    """The executable that is one file."""
    (path,) = Path(folder_executable).parents[1].glob("magicqueue-*.bin")
    return str(path)


@pytest.fixture(scope="session")
def installed(folder_executable: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command of the wheel with crc32c, in an environment of its own: no numba."""
    (wheel,) = Path(folder_executable).parents[1].glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", f"{wheel}[cli,server]"], check=True
    )
    return str(folder / "bin" / "magicqueue")


@pytest.fixture(params=["folder_executable", "single_executable", "installed"])
def build(request: pytest.FixtureRequest) -> str:
    """Everything that `make dist` makes."""
    path: str = request.getfixturevalue(request.param)
    return path


@pytest.fixture(params=["folder_executable", "single_executable"])
def executable(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    path: str = request.getfixturevalue(request.param)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty PATH and nothing of Python's."""
    return {"PATH": "", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}


@pytest.fixture
def run(bare: dict[str, str], tmp_path: Path) -> Run:
    """Run a command line of an executable to its end."""

    def run_it(
        executable: str, *arguments: str, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [executable, *arguments],
            env=bare | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run_it
