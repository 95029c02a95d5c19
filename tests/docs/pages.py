"""Pages of the documentation, done word for word: files written, commands typed.

A block ```python title="app.py"``` is a file; with ", at its end" in its title it is added
to what is there. A block ```console title="Second terminal"``` is what is typed and seen in
one terminal: a line "$ …" is a command, the lines below it what it prints, "^C" is typed,
and a block that begins with neither is what a command of before goes on to print. There "…"
stands for any text, and alone in a line for any lines; numbers of processes, times of the
day and spans are whatever they are.

The server of the page listens on a port of its own; where the page says 6789 it may say
that. Commands that prepare a machine (pip, venv) are left to the tests of packaging.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.terminal import environment
from patience import PATIENCE_S

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
ANY: Final = "…"

_FENCE: Final = re.compile(
    r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL
)
_AT_ITS_END: Final = ", at its end"
_PREPARES: Final = re.compile(r"\$ (pip install|python3 -m venv|\. |mkdir |cd )")
_LASTS: Final = re.compile(r"\$ magicqueue (serve|worker)\b")
_VARIES: Final = {
    r"\d{4}-\d\d-\d\dT[\d:.]+(?:[+-]\d\d:\d\d|Z)": r"\S+",
    r"\[\d+\]": r"\[\d+\]",
    r"\d[\d.]* s ago": r"(?:[\d.]+ (?:s|min) ago|now)",
    r"\d[\d.]* ?(?:µs|ms|s)\b": r"[\d.]+ ?(?:µs|ms|s)",
    r"\b6789\b": r"\d+",
    r" +": " +",
    ANY: ".*",
}
_VARYING: Final = re.compile("|".join(f"({what})" for what in _VARIES))
_INSTEAD: Final = list(_VARIES.values())


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    """List the blocks of a page."""
    text = (DOCS / page).read_text()
    return [Block(*found.groups("")) for found in _FENCE.finditer(text)]


def pattern_of(line: str) -> str:
    """Make the expression that a line of a page stands for."""
    pattern, end = "", 0
    for found in _VARYING.finditer(line):
        assert found.lastindex is not None
        pattern += re.escape(line[end : found.start()]) + _INSTEAD[found.lastindex - 1]
        end = found.end()
    return pattern + re.escape(line[end:])


def agrees(expected: list[str], said: list[str]) -> bool:
    """Whether what was said is what a page says."""
    text = "".join(
        r"(?:.*\n)*?" if line == ANY else rf"{pattern_of(line)} *\n" for line in expected
    )
    return re.fullmatch(text, "".join(f"{line}\n" for line in said)) is not None


class Shown:
    """A process that stays, and what it printed that no block has told of yet."""

    def __init__(self, command: str, folder: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._told = 0
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip())
                self._changed.notify_all()
        self.process.stdout.close()
        with self._changed:
            self._lines.append("")
            self._changed.notify_all()

    def wait_for(self, expected: list[str]) -> None:
        """Wait until it has printed this and no more than that before it."""
        ends = len(expected) - (expected[-1:] == [ANY])

        def came() -> bool:
            new = self._lines[self._told :]
            for count in range(len(new) + 1):
                if agrees(expected[:ends], new[:count]):
                    self._told += count
                    return True
            return False

        with self._changed:
            there = self._changed.wait_for(came, PATIENCE_S)
        assert there, "\n".join(
            ["expected:", *expected, "came:", *self._lines[self._told :]]
        )

    def stop(self) -> None:
        """Type Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join(PATIENCE_S)


class PageRunner:
    """Does a page in a folder. port: where its server listens."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name, arguments in (
            ("magicqueue", "-m magicqueue"),
            ("python", ""),
            ("pytest", "-m pytest -p no:cacheprovider -p magicqueue_server.testing.plugin"),
        ):
            program = programs / name
            command = f"exec {shlex.quote(sys.executable)} {arguments}"
            program.write_text(f'#!/bin/sh\n{command} "$@"\n')
            program.chmod(0o755)
        self._env = environment(
            PATH=f"{programs}:{os.environ['PATH']}",
            MAGICQUEUE_PORT=str(port),
            MAGICQUEUE_URL=f"localhost:{port}",
            MAGICQUEUE_CORE="python",
            PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",  # a newcomer has no others
            COLUMNS="120",
        )
        self._env.pop("PYTEST_PLUGINS", None)
        self._running: dict[str, Shown] = {}
        self.did = 0

    def do(self, block: Block) -> None:
        """Do what a block says, and check what it promises."""
        if block.language == "python" and block.title:
            name, at_end, _ = block.title.partition(_AT_ITS_END)
            path = self.folder / name
            before = path.read_text() if at_end else ""
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(before + block.text)
            self.did += 1
        elif block.language == "console":
            self._type(block.title, block.text.splitlines())
            self.did += 1

    def close(self) -> None:
        """End what still runs."""
        for shown in self._running.values():
            shown.kill()

    def _type(self, terminal: str, lines: list[str]) -> None:
        while lines:
            typed = lines[0].startswith("$ ") or lines[0] == "^C"
            command = lines.pop(0) if typed else ""
            ends = next((n for n, line in enumerate(lines) if line[:2] == "$ "), len(lines))
            expected, lines = lines[:ends], lines[ends:]
            if _PREPARES.match(command):
                continue
            if command == "^C":
                self._running[terminal].stop()
            elif _LASTS.match(command):
                self._running[terminal] = Shown(command[2:], self.folder, self._env)
            elif command:
                self._run(command[2:], expected)
                continue
            self._running[terminal].wait_for(expected)

    def _run(self, command: str, expected: list[str]) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self._env,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        said = [line.rstrip() for line in done.stdout.splitlines()]
        assert agrees(expected, said), "\n".join(
            [f"$ {command}", "expected:", *expected, "came:", *said]
        )
