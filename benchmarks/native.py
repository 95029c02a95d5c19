"""The two C programs: the floor to compare with, and a load generator that costs little.

`floor.c` and `drive.c` say what they do; they are compiled at first use, into a folder that
git does not know. Where no C compiler is found, that is said.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass

from benchmarks.processes import ROOT, cpu_ns, end, start

SOURCES = ROOT / "benchmarks"
COMPILED = ROOT / ".asv" / "compiled"
COMPILERS = ("cc", "gcc", "clang")
RUN_S_MAX = 300


@dataclass(frozen=True)
class Step:
    """A request, how many lines its reply has, and where the ids in that are.

    They begin `skip` bytes from where `key` does, at each place where it is found. In the
    next request byte 1 stands for them, and byte 2 for how many bytes they are.
    """

    request: bytes
    lines: int = 1
    key: bytes = b""
    skip: int = 0

    @property
    def kind(self):
        """The bytes that all requests of this kind begin with, in our protocol."""
        return self.request[: self.request.index(b",")]


def program(name):
    """Compile a program if its source is newer; gives its path."""
    source, path = SOURCES / f"{name}.c", COMPILED / name
    if path.exists() and path.stat().st_mtime > source.stat().st_mtime:
        return str(path)
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        sys.exit("these benchmarks need a C compiler (Debian: apt-get install gcc)")
    COMPILED.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-o", str(path), str(source)], check=True)
    return str(path)


@contextlib.contextmanager
def floor(replies):
    """Run the floor; replies: {how a request begins: reply}. Gives (pid, port)."""
    process = start([program("floor")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        for prefix, reply in replies.items():
            process.stdin.write(b"%d %d\n%b%b" % (len(prefix), len(reply), prefix, reply))
        process.stdin.write(b"0 0\n")
        process.stdin.flush()
        yield process.pid, int(process.stdout.readline())
    finally:
        process.stdin.close()
        end(process)


def drive(words, steps=(), server_pid=None):
    """Run the generator; gives what it says and the CPU time of the server in its time."""
    process = start(
        [program("drive"), *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        for step in steps:
            sizes = step.lines, len(step.key), step.skip, len(step.request)
            process.stdin.write(b"%d %d %d %d\n" % sizes + step.key + step.request)
        if steps:
            process.stdin.write(b"0 0 0 0\n")
        process.stdin.flush()
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the generator ended early: drive {words}")
        before_ns = cpu_ns(server_pid) if server_pid else 0
        process.stdin.write(b"\n")
        process.stdin.flush()
        text = process.stdout.readline()
        spent_ns = cpu_ns(server_pid) - before_ns if server_pid else 0
    finally:
        process.stdin.close()
        end(process)
    if not text:
        raise RuntimeError(f"the generator ended early: drive {words}")
    return json.loads(text) | {"server_cpu_ns": spent_ns}
