"""The build's gates: what they are there for does not get through, and is explained."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
ADDS = """
void add(const long *restrict from, long *restrict to) {
    for (int n = 0; n < 4096; n++) to[n] += from[n];
}
"""
CLEARS = """
#include <string.h>
void clear(char *bytes, long count) { memset(bytes, 0, count); }
"""
SHIFTS = "long shift(long value, int by) { return value << by; }"
ALLOCATES = """
#include <stdlib.h>
void *allocate(long count) { return malloc(count); }
"""
FILLS = """
#include <sys/random.h>
long fill(char *bytes) { return getrandom(bytes, 8, 0); }
"""


def _aot() -> ModuleType:
    spec = spec_from_file_location("aot", PACKAGING / "aot.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


aot = _aot()


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    try:
        aot.require(aot.TOOLS)
    except aot.BuildError as error:
        pytest.skip(f"the build cannot run here: {error}")


def _compiled(folder: Path, source: str, *flags: str) -> Path:
    (folder / "source.c").write_text(source)
    made = folder / "made"
    command = ("cc", "-O3", "-fPIC", *flags, "-o", str(made), str(folder / "source.c"))
    subprocess.run(command, check=True)
    return made


@pytest.mark.parametrize(
    ("source", "flags"),
    [(ADDS, "-march=x86-64-v2"), (CLEARS, "-march=x86-64-v2"), (SHIFTS, "-msse4.2")],
)
def test_what_all_processors_can_run_passes(
    tmp_path: Path, source: str, flags: str
) -> None:
    made = _compiled(tmp_path, source, "-c", flags)
    for level in ("v2", "v3"):
        aot.check_object(made, level)


@pytest.mark.parametrize(
    ("level", "source", "flags"),
    [
        ("v2", ADDS, ("-mavx",)),
        ("v2", ADDS, ("-mavx2",)),
        ("v2", ADDS, ("-mavx512f", "-mprefer-vector-width=512")),
        ("v2", SHIFTS, ("-mbmi2",)),
        ("v3", ADDS, ("-mavx512f", "-mprefer-vector-width=512")),
    ],
)
def test_an_instruction_that_came_later_does_not(
    tmp_path: Path, level: str, source: str, flags: tuple[str, ...]
) -> None:
    made = _compiled(tmp_path, source, "-c", *flags)
    with pytest.raises(aot.BuildError, match=f"the {level} object has an instruction"):
        aot.check_object(made, level)


def test_v3_may_use_avx2(tmp_path: Path) -> None:
    aot.check_object(_compiled(tmp_path, ADDS, "-c", "-march=x86-64-v3"), "v3")


@pytest.mark.parametrize("level", ["v2", "v3"])
def test_a_symbol_from_outside_does_not(tmp_path: Path, level: str) -> None:
    made = _compiled(tmp_path, ALLOCATES, "-c")
    with pytest.raises(aot.BuildError, match=f"the {level} object needs malloc"):
        aot.check_object(made, level)


def test_a_young_c_library_is_not_needed(tmp_path: Path) -> None:
    aot.check_extension(_compiled(tmp_path, ALLOCATES, "-shared"))
    young = _compiled(tmp_path, FILLS, "-shared")
    with pytest.raises(aot.BuildError, match=r"the extension needs glibc 2\.25"):
        aot.check_extension(young)


def test_a_build_that_fails_a_gate_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_badly(folder: Path, level: str) -> dict[str, int]:
        (tmp_path / level).mkdir()
        made = _compiled(tmp_path / level, ALLOCATES, "-c")
        (folder / f"{level}.o").write_bytes(made.read_bytes())
        return {}

    monkeypatch.setattr(aot, "_object", compile_badly)
    output = tmp_path / "output"
    with pytest.raises(aot.BuildError, match="needs malloc"):
        aot.build(output)
    assert not list(output.iterdir())


def test_another_platform_is_told_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aot.sysconfig, "get_platform", lambda: "linux-aarch64")
    with pytest.raises(aot.BuildError, match="this is linux-aarch64"):
        aot.build(tmp_path)


def _script(name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PACKAGING / name), *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("aot.py", "a C compiler (Debian: gcc), binutils (Debian: binutils)"),
        ("dist.py", "patchelf (Debian: patchelf)"),
    ],
)
def test_a_tool_that_is_missing_is_named(tmp_path: Path, script: str, missing: str) -> None:
    arguments = ("--output", str(tmp_path)) if script == "aot.py" else ()
    done = _script(script, *arguments, PATH="")
    assert done.returncode == 1
    assert done.stderr == f"{script}: install first: {missing}\n"
    assert not list(tmp_path.iterdir())


def test_kernels_are_not_compiled_for_the_machine_that_builds(tmp_path: Path) -> None:
    pytest.importorskip("llvmlite")
    output = tmp_path / "v2.o"
    arguments = ("--level", "x86-64-v2", "--suffix", "v2", "--output", str(output))
    done = _script(
        "aot_object.py",
        *arguments,
        PYTHONPATH=os.pathsep.join(
            str(PACKAGING.parent / name) for name in ("client", "cores", "server")
        ),
        NUMBA_CPU_NAME="x86-64-v2",
        NUMBA_CPU_FEATURES="+avx2",
    )
    assert done.returncode == 2
    assert "NUMBA_CPU_FEATURES to nothing" in done.stderr
    assert not output.exists()
