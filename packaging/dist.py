"""Build what is downloaded: a platform wheel, a standalone folder, a single executable.

    make dist        # in an environment of its own, some minutes on two cores

1. `aot.py` compiles the kernels ahead of time.
2. A wheel is made of a copy of the sources with those kernels and the commit's name in it,
   and installed here: the executables are made of the package that others install.
3. Nuitka packs it with the interpreter, once as a folder (for the tar.gz, which starts
   fastest) and once as one file (which unpacks itself at each start). Modules stay
   bytecode (`nuitka_plugin` says why). `--tls` makes the same with OpenSSL in it, under
   names that end in -tls: some 6 MB more, and bound to OpenSSL's advisories.

Two builds of a commit with the same tools make the same wheel and archive, byte for byte:
times in them are the commit's.

numba, llvmlite and numpy stay outside: kernels are machine code already. Patchelf (needed)
and ccache (not needed) come from Debian where this runs as root.
"""

import argparse
import ast
import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zlib
from pathlib import Path
from typing import Final

import aot

BUILD: Final = aot.ROOT / "build"
DIST: Final = aot.ROOT / "dist"
SITE: Final = Path(sys.prefix) / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
_COPIED: Final = (
    *("client", "cores", "server", "packaging"),
    *("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"),
)
_OUTSIDE: Final = (
    *("numba", "numpy", "llvmlite", "nuitka", "pytest", "hypothesis"),
    *("magicqueue.demo", "magicqueue.demo_processes", "magicqueue.demo_report"),
    "magicqueue.demo_work",
    *("pygments", "markdown_it", "rich.syntax", "rich.markdown", "rich.traceback"),
    *("IPython", "tkinter", "unittest", "pydoc", "setuptools", "pip", "cython"),
)
_INSIDE: Final = (
    *("click", "crc32c", "cronsim", "httptools", "msgspec", "orjson", "rich", "tzdata"),
    "uvloop",
)
"""Packages of others that are inside: their licences stand in the folder."""
_TLS: Final = ("ssl", "_ssl", "_hashlib")
"""Outside as well, unless it is to speak TLS: see no_tls; hashes are built in."""
_UNUSED: Final = (
    *("_aix_support", "_bootsubprocess", "_markupbase", "_osx_support", "_pydecimal"),
    *("_pyio", "bz2", "cgi", "cgitb", "chunk", "cmd", "crypt", "filecmp", "fileinput"),
    *("ftplib", "gzip", "html.parser", "http", "imaplib", "imghdr", "lzma", "mailcap"),
    *("modulefinder", "multiprocessing", "netrc", "nturl2path", "pickletools", "pipes"),
    *("poplib", "pstats", "py_compile", "pyclbr", "pyexpat", "rlcompleter", "sched"),
    *("smtplib", "sndhdr", "socketserver", "statistics", "symtable", "tarfile", "timeit"),
    *("trace", "uu", "webbrowser", "xdrlib", "xml", "xmlrpc"),
)
"""Of the standard library, which Nuitka would include whole."""
_JIT: Final = ("llvmlite", "magicqueue_cores.kernels.jit", "numba", "numpy")
_C_LIBRARY: Final = {
    *("ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"),
    *("librt.so.1", "libutil.so.1"),
}
_BESIDE: Final = (
    *("magicqueue.toml", "magicqueue.service", "magicqueue.socket"),
    "magicqueue.logrotate",
)


def main() -> None:
    """Build all, or the wheel alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel-only", action="store_true")
    parser.add_argument("--tls", action="store_true", help="executables with TLS")
    arguments = parser.parse_args()
    only = arguments.wheel_only
    sys.path[:0] = [str(aot.ROOT / source) for source in aot.SOURCES]
    try:
        if not only:
            _have_tools()
        kernels = aot.build(BUILD / "kernels")
        _say(f"kernels: {kernels.stat().st_size:,} bytes")
        wheel = _wheel(_stage(), kernels)
        _say(wheel.name)
        if not only:
            _executables(wheel, tls=arguments.tls)
    except aot.BuildError as error:
        sys.exit(f"dist.py: {error}")


def version() -> str:
    """Give the version that is being built."""
    project = tomllib.loads((aot.ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def commit() -> str:
    """Name the commit, with "+" behind it if files differ from it."""
    git = ("git", "-C", aot.ROOT)
    try:
        name = aot.run(*git, "rev-parse", "--short=12", "HEAD").strip()
        changed = aot.run(*git, "status", "--porcelain", "--untracked-files=no").strip()
    except (aot.BuildError, FileNotFoundError):
        return "unknown"
    return f"{name}{'+' if changed else ''}"


def _commit_time_s() -> int:
    """Give the commit's time, or the earliest that archives know."""
    try:
        return int(aot.run("git", "-C", aot.ROOT, "log", "-1", "--format=%ct"))
    except (aot.BuildError, FileNotFoundError):
        return 315_532_800


def _say(what: str) -> None:
    sys.stdout.write(f"== {what}\n")
    sys.stdout.flush()


def _have_tools() -> None:
    missing = [tool for tool in ("patchelf", "ccache") if shutil.which(tool) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _say(f"installing {' and '.join(missing)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (("update", "-qq"), ("install", "-y", "-qq", *missing)):
            subprocess.run(("apt-get", *command), env=quiet, check=False)  # noqa: S607 - Debian's
    aot.require({"patchelf": "patchelf (Debian: patchelf)"})
    if shutil.which("ccache") is None:
        _say("ccache is not here: the next build will take as long as this one")


def _stage() -> Path:
    """Copy the sources, and write the commit's name beside them."""
    stage = BUILD / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    junk = shutil.ignore_patterns("__pycache__", "*.so", "_build.py")
    for name in _COPIED:
        source = aot.ROOT / name
        if source.is_dir():
            shutil.copytree(source, stage / name, ignore=junk)
        else:
            shutil.copy2(source, stage / name)
    build = stage / "server" / "magicqueue_server" / "_build.py"
    build.write_text(f'"""Written by the build."""\n\nCOMMIT = "{commit()}"\n')
    return stage


def _pip(*arguments: str | Path, env: dict[str, str] | None = None) -> None:
    aot.run(sys.executable, "-m", "pip", "--quiet", *arguments, env=env)


def _wheel(stage: Path, kernels: Path) -> Path:
    """Make the platform wheel; gives its path."""
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob("*.whl"):
        old.unlink()
    env = {**os.environ, "MAGICQUEUE_KERNELS": str(kernels)}
    _pip("wheel", "--no-deps", "--no-build-isolation", "-w", DIST, stage, env=env)
    (wheel,) = DIST.glob("*.whl")
    return wheel


def _executables(wheel: Path, *, tls: bool) -> None:
    """Make the folder and the single file, of the wheel and what it needs."""
    _pip("install", "--force-reinstall", "--no-deps", wheel)
    name = f"magicqueue-{version()}-linux-{platform.machine()}{'-tls' if tls else ''}"
    main_module = "executable_tls" if tls else "executable"
    folder = _nuitka("standalone", main_module) / f"{main_module}.dist"
    _check_libraries(folder)
    for beside in _BESIDE:
        shutil.copy2(aot.ROOT / "packaging" / beside, folder)
    shutil.copy2(aot.ROOT / "LICENSE", folder)
    _licences(folder)
    archive = DIST / f"{name}.tar.gz"
    _archive(folder, name, archive)
    shutil.rmtree(DIST / name, ignore_errors=True)
    shutil.copytree(folder, DIST / name)
    single = DIST / f"{name}.bin"
    shutil.copy2(_nuitka("onefile", main_module) / "magicqueue", single)
    for executable in (DIST / name / "magicqueue", single):
        _start(executable)
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    _say(f"folder: {size:,} bytes")
    for made in (archive, single):
        _say(f"{made.name}: {made.stat().st_size:,} bytes")


def _archive(folder: Path, name: str, archive: Path) -> None:
    """Pack a folder, with nothing in it of who packs it, and when."""
    time_s = _commit_time_s()

    def told(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = time_s
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, time_s) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        tar.add(folder, name, filter=told)


def _nuitka(mode: str, main_module: str) -> Path:
    """Run Nuitka; gives the folder with what it made."""
    output = BUILD / mode
    outside = _OUTSIDE if main_module == "executable_tls" else (*_OUTSIDE, *_TLS)
    shutil.rmtree(output, ignore_errors=True)
    env = {
        **os.environ,
        "NUITKA_CACHE_DIR": str(BUILD / "nuitka-cache"),
        "CCACHE_DIR": str(BUILD / "ccache"),
        "PYTHONPATH": "",
    }
    command = [
        *(sys.executable, "-m", "nuitka", f"--mode={mode}", "--deployment"),
        "--python-flag=no_site,isolated",
        "--disable-plugin=multiprocessing",
        "--onefile-child-grace-time=infinity",
        f"--user-plugin={aot.ROOT / 'packaging' / 'nuitka_plugin.py'}",
        *(f"--output-dir={output}", "--output-filename=magicqueue", "--quiet"),
        *("--include-distribution-metadata=magicqueue-server", "--include-package=crc32c"),
        "--include-distribution-metadata=crc32c",
        *("--include-package=uvloop", "--include-package=magicqueue"),
        *("--include-package=magicqueue_cores", "--include-package=magicqueue_server"),
        "--include-package=httptools",
        "--include-package-data=magicqueue_server",  # the dashboard's files
        *("--include-package=cronsim", "--include-package=tzdata"),
        "--include-package-data=tzdata",  # rules of time zones, of any machine
        f"--nofollow-import-to={','.join((*outside, *_UNUSED, *_kernel_sources()))}",
        *_system_libraries(),
        str(aot.ROOT / "packaging" / f"{main_module}.py"),
    ]
    with (BUILD / f"{mode}.log").open("w") as log:
        _say(f"Nuitka, {mode}: {log.name}")
        done = subprocess.run(
            command,
            env=env,
            cwd=BUILD,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise aot.BuildError(f"Nuitka failed:\n{Path(log.name).read_text()[-3000:]}")
    return output


def _kernel_sources() -> list[str]:
    """Name the modules that were compiled ahead of time: those that a JIT would compile."""
    folder = aot.ROOT / "cores" / "magicqueue_cores" / "kernels"
    modules = sorted(path.stem for path in folder.glob("*.py") if _needs_jit(path))
    return [f"magicqueue_cores.kernels.{module}" for module in modules]


def _needs_jit(module: Path) -> bool:
    for statement in ast.parse(module.read_text()).body:
        names: list[str] = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names = [f"{statement.module}.{alias.name}" for alias in statement.names]
        if any(name.startswith(_JIT) for name in names):
            return True
    return False


def _start(executable: Path) -> None:
    """Raise BuildError unless it serves from the array core."""
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [executable, "serve", "--core=array", f"--unix-socket={folder}/socket"],
            env={"PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in server.stdout or ():
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        server.terminate()
        server.communicate()
    if server.returncode or "(compiled ahead of time for x86-64-v" not in "".join(said):
        raise aot.BuildError(f"{executable} does not serve:\n{''.join(said)}")


def _system_libraries() -> list[str]:
    """Take along libz, which is everywhere but in the smallest of systems."""
    users = (os.path.realpath(sys.executable), getattr(zlib, "__file__", None))
    linked = "".join(aot.run("ldd", user) for user in users if user)
    found = re.search(r"libz\.so\.1 => (\S+)", linked)
    return [f"--include-data-files={found[1]}=libz.so.1"] if found else []


def _check_libraries(folder: Path) -> None:
    """Raise BuildError for what is needed and neither inside nor the C library."""
    inside = {path.name for path in folder.rglob("*")}
    needed: set[str] = set()
    glibc = {(0, 0)}
    for path in (folder / "magicqueue", *folder.rglob("*.so*")):
        told = aot.run("objdump", "-p", path)
        needed.update(re.findall(r"NEEDED +(\S+)", told))
        found = re.findall(r"GLIBC_(\d+)\.(\d+)", told)
        glibc |= {(int(major), int(minor)) for major, minor in found}
    missing = needed - inside - _C_LIBRARY
    if missing:
        raise aot.BuildError(f"the folder lacks {', '.join(sorted(missing))}")
    _say("it needs glibc {}.{} or later, and nothing else".format(*max(glibc)))


def _licences(folder: Path) -> None:
    """Gather the licences of what is inside."""
    target = folder / "licences"
    target.mkdir(exist_ok=True)
    for package in _INSIDE:
        for info in SITE.glob(f"{package}-*.dist-info"):
            for text in info.rglob("*LICEN*"):
                if text.is_file():
                    shutil.copy2(text, target / f"{package}-{text.name}")


if __name__ == "__main__":
    main()
