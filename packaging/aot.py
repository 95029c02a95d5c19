"""Build `magicqueue_cores._kernels_aot`: the kernels as one small C extension.

    python packaging/aot.py --output folder

One object for each level of x86-64 processors (v2: any since 2009; v3: with AVX2, since
2013) goes into one extension, which takes the best the processor has, at import;
MAGICQUEUE_CPU=x86-64-v2 has it take a lower one. The extension uses CPython's stable
interface, so one file serves 3.11 and later, and of the C library only what every Linux
of the last decade has. Beside numba it needs a C compiler and binutils.

Gates: the objects need nothing but memset, memcpy, memmove, recv, send and epoll_wait; the
v2 object has no AVX or other instruction that came with v3, and the v3 object none of
AVX-512; the extension needs no glibc later than 2.17. A build that fails one writes
nothing.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = ("client", "cores", "server")
NAME: Final = "_kernels_aot.abi3.so"
_BEST_FIRST: Final = ("v3", "v2")
_MAY_NEED: Final = frozenset({"memset", "memcpy", "memmove", "recv", "send", "epoll_wait"})
_TOO_NEW: Final = {
    "v2": r"%[yz]mm|\tv[a-z]|\t(?:mulx|s[ah][lr]x|rorx|andn|bextr|bls(?:r|i|msk)|bzhi|pdep"
    r"|pext|lzcnt|movbe)[lq]?\s",
    "v3": r"%zmm|%[xy]mm(?:1[6-9]|2\d|3[01])|%k[0-7]\b",
}
_GLIBC_MAX: Final = (2, 17)
TOOLS: Final = {
    "cc": "a C compiler (Debian: gcc)",
    "nm": "binutils (Debian: binutils)",
    "objdump": "binutils (Debian: binutils)",
    "strip": "binutils (Debian: binutils)",
}


class BuildError(Exception):
    """The build cannot go on; the text says why and what to do."""


def environment() -> dict[str, str]:
    """This process's environment, with the sources to be imported."""
    paths = os.pathsep.join(str(ROOT / source) for source in SOURCES)
    return {**os.environ, "PYTHONPATH": paths}


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a tool; gives what it printed. Raises BuildError with what it complained of."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


def require(tools: dict[str, str]) -> None:
    """Raise BuildError for tools that are not here."""
    missing = {what for tool, what in tools.items() if shutil.which(tool) is None}
    if missing:
        raise BuildError(f"install first: {', '.join(sorted(missing))}")


def build(output: Path) -> Path:
    """Build the extension into a folder; gives its path."""
    if sysconfig.get_platform() != "linux-x86_64":
        raise BuildError(
            f"kernels are compiled ahead of time for linux-x86_64 only, and this is"
            f" {sysconfig.get_platform()}: there the array core uses numba"
        )
    require(TOOLS)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with ThreadPoolExecutor() as pool:
            entries, *_ = pool.map(lambda level: _object(folder, level), _BEST_FIRST)
        for level in _BEST_FIRST:
            check_object(folder / f"{level}.o", level)
        glue = folder / "glue.c"
        glue.write_text(_glue(entries))
        _link(folder, glue)
        check_extension(folder / NAME)
        made = output / NAME
        shutil.copy2(folder / NAME, made)
    return made


def _object(folder: Path, level: str) -> dict[str, int]:
    """Compile the kernels for one level; gives how many numbers each entry takes."""
    env = environment() | {
        "NUMBA_CPU_NAME": f"x86-64-{level}",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_DISABLE_JIT": "0",
        "MAGICQUEUE_CACHE_DIR": str(folder / f"cache-{level}"),
    }
    script = ROOT / "packaging" / "aot_object.py"
    printed = run(
        *(sys.executable, script, "--level", f"x86-64-{level}", "--suffix", level),
        *("--output", folder / f"{level}.o"),
        env=env,
    )
    entries: dict[str, int] = json.loads(printed)
    return entries


def check_object(path: Path, level: str) -> None:
    """Raise BuildError for an object that some processor of the level could not run."""
    needed = set(run("nm", "--undefined-only", "--format=just-symbols", path).split())
    if not needed <= _MAY_NEED:
        raise BuildError(f"the {level} object needs {', '.join(needed - _MAY_NEED)}")
    found = re.search(f".*(?:{_TOO_NEW[level]}).*", run("objdump", "-d", path))
    if found:
        raise BuildError(
            f"the {level} object has an instruction that came later, as the build"
            f" machine's features leaked in: {found[0].strip()}"
        )


def check_extension(path: Path) -> None:
    """Raise BuildError for an extension that needs a young C library."""
    found = re.findall(r"GLIBC_(\d+)\.(\d+)", run("objdump", "-T", path))
    newest = max(((int(major), int(minor)) for major, minor in found), default=(0, 0))
    if newest > _GLIBC_MAX:
        raise BuildError(f"the extension needs glibc {newest[0]}.{newest[1]}")


def _link(folder: Path, glue: Path) -> None:
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        raise BuildError(f"no Python.h in {include}: install python3-dev")
    run(
        *("cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-fvisibility=hidden"),
        *(f"-I{include}", glue, *(folder / f"{level}.o" for level in _BEST_FIRST)),
        *("-Wl,--build-id=none", "-Wl,-z,relro,-z,now,-z,noexecstack"),
        *("-o", folder / NAME),
    )
    run("strip", "--strip-unneeded", folder / NAME)


def _glue(entries: dict[str, int]) -> str:
    """Give the extension's C source."""
    from magicqueue_cores.kernels import layout, sources  # noqa: PLC0415 - needs the path

    functions = "".join(_function(name, count) for name, count in entries.items())
    methods = "".join(
        f'    {{"{name}", (PyCFunction)(void (*)(void)){name}, METH_FASTCALL, NULL}},\n'
        for name in entries
    )
    tables = {
        level: "".join(f"        best_{name} = mq_{name}_{level};\n" for name in entries)
        for level in _BEST_FIRST
    }
    text = (ROOT / "packaging" / "aot_glue.c").read_text()
    for mark, value in (
        ("@FUNCTIONS@", functions),
        ("@METHODS@", methods),
        ("@TAKE_v3@", tables["v3"]),
        ("@TAKE_v2@", tables["v2"]),
        ("@MEMORY_BYTES@", str(layout.MEMORY_BYTES)),
        ("@SOURCES@", str(sources.digest())),
    ):
        text = text.replace(mark, value)
    return text


def _function(name: str, count: int) -> str:
    """Give the C text of one entry point: `count` numbers behind the memory."""
    kinds = "".join(", int64_t" for _ in range(count))
    prototypes = "".join(
        f"int64_t mq_{name}_{level}(void *{kinds});\n" for level in _BEST_FIRST
    )
    values = "".join(f", numbers[{n}]" for n in range(count))
    return f"""
{prototypes}static int64_t (*best_{name})(void *{kinds});

static PyObject *{name}(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {{
    Py_buffer memory;
    int64_t numbers[{count}];
    if (!take("{name}", arguments, count, &memory, numbers, {count})) return NULL;
    int64_t result = best_{name}(memory.buf{values});
    PyBuffer_Release(&memory);
    return PyLong_FromLongLong(result);
}}
"""


def main() -> None:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "kernels")
    sys.path[:0] = [str(ROOT / source) for source in SOURCES]
    try:
        print(build(parser.parse_args().output))  # noqa: T201 - the answer
    except BuildError as error:
        sys.exit(f"aot.py: {error}")


if __name__ == "__main__":
    main()
