"""The kernels as a C extension: it is built here, and does what the jitted kernels do."""

import fcntl
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from conformance.driver import require_core

ROOT = Path(__file__).parents[2]
SOURCES = ("client", "cores", "server", "tests", "tests/packaging")
KERNELS = "tests/kernels/test_execute.py"
DIFFERENTIAL = "tests/differential"
SUITES = ("tests/conformance", DIFFERENTIAL, KERNELS)
WAIT_S = 580
"""A hang is meant, not a machine that has other work: the suites take 20 s of one CPU."""
pytestmark = pytest.mark.timeout(600)


def _environment(folder: Path, level: str) -> dict[str, str]:
    return os.environ | {
        "MAGICQUEUE_TEST_KERNELS": str(folder),
        "MAGICQUEUE_CPU": level,
        "PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in SOURCES),
    }


def _run(folder: Path, level: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=_environment(folder, level),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an extension that was built just now, once for all of pytest-xdist."""
    if sysconfig.get_platform() != "linux-x86_64":
        pytest.skip("kernels are compiled ahead of time for linux-x86_64 only")
    require_core("array")
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of this run, which its workers share
    folder, unfinished = base / "kernels", base / "kernels-unfinished"
    with (base / "kernels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished.mkdir(exist_ok=True)
            built = _run(unfinished, "", "packaging/aot.py", "--output", str(unfinished))
            assert built.returncode == 0, built.stderr
            unfinished.rename(folder)
    return folder


@pytest.mark.parametrize(
    ("level", "suites", "which"),
    [
        ("x86-64-v2", (KERNELS,), "not long"),
        ("x86-64-v3", (KERNELS, DIFFERENTIAL), "not long"),
        pytest.param("x86-64-v2", SUITES, "not python", marks=pytest.mark.slow),
        pytest.param("x86-64-v3", SUITES, "not python", marks=pytest.mark.slow),
    ],
)
def test_it_is_a_core_like_any_other(
    kernels: Path, level: str, suites: tuple[str, ...], which: str
) -> None:
    """Both levels are made of the same C, so one of them does daily for most.

    The whole conformance suite on each is long: `make soak`, and `make test-dist`.
    """
    program = (
        "import ahead_of_time\n"
        "from magicqueue_cores import _kernels_aot\n"
        "print(_kernels_aot.LEVEL)\n"
    )
    asked = _run(kernels, level, "-c", program)
    assert asked.returncode == 0, asked.stderr
    chosen = asked.stdout.strip()
    if chosen != level:
        pytest.skip(f"this processor has only {chosen}")
    done = _run(
        kernels,
        level,
        "-m",
        "pytest",
        "-q",
        "-p",
        "ahead_of_time",
        *suites,
        "-k",
        which,
        "-m",
        "not slow",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_it_refuses_what_would_crash_it(kernels: Path) -> None:
    program = """
import ahead_of_time
from magicqueue_cores import _kernels_aot as built
for arguments in ((bytearray(64), 0, 1, 2, 3), (bytes(64), 0, 1, 2, 3), (b"",),
                  (1, 0, 2, 3, 4), (bytearray(64), 0, 2**64, 2, 3)):
    try:
        built.execute(*arguments)
    except (TypeError, ValueError, BufferError, OverflowError) as error:
        print(type(error).__name__)
"""
    done = _run(kernels, "", "-c", program)
    expected = ["ValueError", "BufferError", "TypeError", "TypeError", "OverflowError"]
    assert done.stdout.split() == expected, done.stderr


def test_an_extension_of_other_sources_is_not_used(kernels: Path, tmp_path: Path) -> None:
    built = next(kernels.glob("_kernels_aot*")).read_bytes()
    program = (
        "import sys, magicqueue_cores\n"
        "magicqueue_cores.__path__.append(sys.argv[1])\n"
        "from magicqueue_cores.kernels import sources\n"
        "if sys.argv[2] == 'digest': print(sources.digest()); sys.exit()\n"
        "from magicqueue_cores.kernels import entry\n"
        "print(entry.MODE)\n"
    )
    digest = _run(kernels, "", "-c", program, str(kernels), "digest").stdout.strip()
    assert built.count(digest.encode()) == 1
    (tmp_path / "_kernels_aot.abi3.so").write_bytes(
        built.replace(digest.encode(), b"0" * len(digest))
    )
    right = _run(kernels, "", "-c", program, str(kernels), "mode")
    wrong = _run(kernels, "", "-c", program, str(tmp_path), "mode")
    assert (right.stdout.strip(), right.stderr) == ("aot", "")
    assert wrong.stdout.strip() in {"jit", "python"}
    assert "built from other kernels" in wrong.stderr
