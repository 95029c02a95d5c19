"""Other processes: servers under test, their CPU time and their memory.

CPU time is the sum of what the scheduler counts for each thread, in nanoseconds. Where the
kernel keeps no such account it is utime + stime, in ticks of 10 ms.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("client", "cores", "server")
SOURCES = [ROOT / room for room in ROOMS]

_SHIM = """
import ctypes, os, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
"""
_START_S = 120.0
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def import_sources():
    """Let the three source roots be imported where the package is not installed."""
    try:
        import magicqueue_server  # noqa: F401, PLC0415 - only whether it is there
    except ImportError:
        sys.path[:0] = map(str, SOURCES)


def environment(**extra):
    """Give a server's environment: without settings meant for other servers."""
    ours = ("MAGICQUEUE_", "PORT", "PERSIST", "UNIX_SOCKET")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    for name in ("MAGICQUEUE_CACHE_DIR",):
        if name in os.environ:
            kept[name] = os.environ[name]
    try:
        import magicqueue_server  # noqa: PLC0415 - where it comes from
    except ImportError:
        folders = [str(source) for source in SOURCES]
    else:
        source = Path(magicqueue_server.__file__).parents[1]
        folders = [str(path) for path in SOURCES] if source in SOURCES else []
    folders += [kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else []
    kept["PYTHONPATH"] = os.pathsep.join(folders)
    return kept | extra


def start(command, **options):
    """Start a process that the kernel ends with this one, however this one ends."""
    shim = [sys.executable, "-S", "-c", _SHIM, str(signal.SIGKILL.value)]
    return subprocess.Popen([*shim, *command], **options)


def end(process):
    """Stop a process: kindly, then not so kindly."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def serve_command(core, *options):
    """Make the command line of a MagicQueue server on a free port."""
    command = [sys.executable, "-m", "magicqueue_server", "serve", "--port", "0"]
    return [*command, "--core", core, *options]


def listening_port(process):
    """Wait until a MagicQueue server listens; gives its port."""
    for line in process.stdout:
        if found := re.search(r" listens on \S+:(\d+)", line):
            return int(found[1])
    process.wait()
    raise RuntimeError(f"the server did not start: {' '.join(process.args)}")


def start_server(core, *options, tree=None):
    """Start a MagicQueue server on a free port; gives (process, port).

    tree: the folder of another version to run; None is the one that is imported here.
    """
    environ = environment(PYTHONUNBUFFERED="1")
    if tree is not None:
        environ["PYTHONPATH"] = os.pathsep.join(str(tree / room) for room in ROOMS)
    process = start(
        serve_command(core, *options),
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process, listening_port(process)


@contextlib.contextmanager
def server(core, *options, tree=None):
    """Run a MagicQueue server; gives (pid, port). tree: see `start_server`."""
    process, port = start_server(core, *options, tree=tree)
    try:
        yield process.pid, port
    finally:
        end(process)


@contextlib.contextmanager
def peer(command, port):
    """Run another server, in an empty folder, until it accepts connections."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _await_port(process, port)
            yield process.pid, port
        finally:
            end(process)


def free_port():
    """Find a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def _await_port(process, port):
    until = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"did not start: {process.args[-1]}") from None
            time.sleep(0.02)
        else:
            return


def cpu_ns(pid):
    """CPU time a process has used since its start."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        used = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    except (OSError, ValueError):
        used = 0
    if used:
        return used
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_NS


def resident_bytes(pid):
    """Memory a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
