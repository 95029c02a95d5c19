"""The conformance suite on the very kernels that are inside the folder.

It drives a core by hand, with a clock of its own, so it cannot be asked over a socket. The
kernels' file is taken out of the folder; `test_same_as_the_package` and the socket suites
look at the rest, and at the python core.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dist.conftest import ROOT

SOURCES = ("client", "cores", "server", "tests", "tests/packaging")
SUITES = ("tests/conformance", "tests/differential", "tests/kernels/test_execute.py")
WAIT_S = 580
"""A hang is meant, not a machine that has other work: the suites take 20 s of one CPU."""
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3"])
def test_it_is_a_core_like_any_other(folder_executable: str, level: str) -> None:
    folder = Path(folder_executable).with_name("magicqueue_cores")
    assert [path.name.split(".")[0] for path in folder.glob("*.so")] == ["_kernels_aot"]
    environment = os.environ | {
        "MAGICQUEUE_TEST_KERNELS": str(folder),
        "MAGICQUEUE_CPU": level,
        "PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in SOURCES),
    }
    plugin = ("-p", "ahead_of_time")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, *SUITES, "-k", "not python"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
