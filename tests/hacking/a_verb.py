"""What has to be where for a command, and for the verb of a core that carries it out.

The tables are `wire.requests.COMMANDS` and the methods of `contract.Core`.
"""

import ast
import re
from functools import cache
from typing import Final

from conformance.naive_core import NaiveCore
from hacking.checklist import ROOT, Checklist, text_of
from later_core import LaterCore
from magicqueue.wire.requests import COMMANDS, PLAIN
from magicqueue_cores import make_core
from magicqueue_cores.contract import Core, CoreOptions
from magicqueue_server.access import scopes_of
from magicqueue_server.http.routes import ALL
from security.test_access import LINES, MAY
from server.desk import Desk
from wire.samples import LINES as SAMPLES

CLIENT: Final = "client/magicqueue"
WITHOUT_A_METHOD: Final = frozenset({"AUTH", "HELLO", "PUSH", "PULL", "ACK"})
"""What channels say by themselves, and what has a batch form that the client sends."""


def has_a_section(command: str) -> bool:
    """Whether the page of the protocol tells of it."""
    headings = re.findall(r"^### (.*)$", text_of("docs/protocol.md"), re.MULTILINE)
    return any(command in heading.split(" and ") for heading in headings)


@cache
def handled() -> frozenset[str]:
    """Return the commands that a server with policies has a handler for."""
    engine = Desk().engine
    answers = engine._answers
    kinds = {*answers._handlers, *answers._blocking}
    names = {kind: name for of in (COMMANDS, PLAIN) for name, kind in of.items()}
    return frozenset(names[kind] for kind in kinds)


def is_in_samples(command: str) -> bool:
    """Whether what fuzzes and compares engines starts from a line of it, too."""
    return any(f'"cmd":"{command}"'.encode() in line for line in SAMPLES)


def has_its_scope(command: str) -> bool:
    """Whether the test of scopes has a line of it, and says who may send that."""
    if command not in LINES:
        return command in {"AUTH", "HELLO", "PING"}
    may = {scope for scope, commands in MAY.items() if command in commands}
    return may == scopes_of(command)


@cache
def functions() -> list[tuple[str, str]]:
    """Return the names and texts of the client's functions that make lines."""
    found: list[tuple[str, str]] = []
    for path in (ROOT / CLIENT).glob("*.py"):
        text = path.read_text("utf-8")
        if '"cmd":"' not in text and "requests." not in text:
            continue
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                found.append((node.name, body))
    return found


@cache
def names_in_use() -> frozenset[str]:
    """Return all that the client calls, or passes on to be called."""
    return frozenset(re.findall(r"\b(\w+)\b(?=\(|,|\))", text_of(CLIENT)))


def is_sent(command: str) -> bool:
    """Whether the client has a function that makes it, which somebody calls."""
    if command in WITHOUT_A_METHOD:
        return True
    struct = f"requests.{COMMANDS[command].__name__}(" if command in COMMANDS else "\0"
    line = f'"cmd":"{command}"'
    senders = {name for name, text in functions() if struct in text or line in text}
    return bool(senders & names_in_use())


COMMAND: Final = Checklist(
    "A verb: its command",
    tuple(COMMANDS),
    (
        COMMANDS.__contains__,
        has_a_section,
        is_in_samples,
        lambda command: command in handled(),
        has_its_scope,
        lambda command: (
            command in {target.command for target in ALL}
            or command in {"AUTH", "HELLO", "PING"}
        ),
        is_sent,
    ),
)

VERBS: Final = tuple(
    name
    for name, value in vars(Core).items()
    if not name.startswith("_") and (callable(value) or isinstance(value, property))
)


CORES: Final = {name: make_core(name, CoreOptions()) for name in ("python", "array")}


def is_held_to_a_model(verb: str) -> bool:
    """Whether the naive model has it, or the suite that any core must pass asks for it."""
    return hasattr(NaiveCore, verb) or f".{verb}" in text_of("tests/conformance")


CORE_VERB: Final = Checklist(
    "A verb: of cores",
    VERBS,
    (
        VERBS.__contains__,
        is_held_to_a_model,
        lambda verb: hasattr(CORES["python"], verb),
        lambda verb: hasattr(CORES["array"], verb),
        lambda verb: hasattr(LaterCore(CORES["python"], 0), verb),
    ),
)
