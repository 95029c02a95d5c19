"""Which core `make_core` gives where, and what it says when there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.driver import require_core
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions
from magicqueue_cores.kernels.jit import MODE
from patience import PATIENCE_S

_ASK = (
    "from magicqueue_cores import make_core\n"
    "from magicqueue_cores.contract import CoreOptions\n"
    "for name in ('auto', 'array'):\n"
    "    try:\n"
    "        print(make_core(name, CoreOptions()).name)\n"
    "    except ImportError as error:\n"
    "        print('ImportError:', error)\n"
)
_NO_NUMBA = "import sys\nsys.modules['numba'] = None\n"


def _ask(program: str, **environment: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    ).stdout.splitlines()


@pytest.mark.skipif(MODE != "jit", reason="numba does not compile here")
def test_auto_is_the_array_core_where_kernels_are_compiled() -> None:
    require_core("array")
    assert make_core("auto", CoreOptions()).name == "array"


def test_auto_is_the_python_core_where_kernels_would_be_slow() -> None:
    assert _ask(_ASK, NUMBA_DISABLE_JIT="1") == ["python", "array"]


@pytest.mark.skipif(MODE == "aot", reason="numba is not needed here")
def test_without_numba_auto_is_the_python_core_and_array_says_why() -> None:
    auto, array = _ask(_NO_NUMBA + _ASK, NUMBA_DISABLE_JIT="0")
    assert auto == "python"
    assert array.startswith("ImportError: the array core cannot run here")
    assert "pip install 'numba" in array


def test_an_option_that_the_array_core_cannot_keep_makes_auto_the_python_core() -> None:
    assert make_core("auto", CoreOptions(lost_max=10**6)).name == "python"


@pytest.mark.slow
@pytest.mark.skipif(MODE != "jit", reason="nothing is compiled here")
def test_the_first_start_fills_a_private_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert (
        _ask(_ASK, MAGICQUEUE_CACHE_DIR=str(cache), NUMBA_DISABLE_JIT="0") == ["array"] * 2
    )
    (folder,) = cache.iterdir()
    assert cache.stat().st_mode & 0o077 == folder.stat().st_mode & 0o077 == 0
    compiled = sorted(folder.rglob("*.nbc"))
    assert len(compiled) == 5
    _ask(_ASK, MAGICQUEUE_CACHE_DIR=str(cache), NUMBA_DISABLE_JIT="0")
    assert sorted(folder.rglob("*.nbc")) == compiled
