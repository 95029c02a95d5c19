"""docs/errors.md, made of the sentences in the source.

`python tests/wire/errors_page.py` writes the page anew; a test compares it. What a code
means and what to do is written here; its sentences are found where they are raised, with
`…` for what is filled in.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from magicqueue.errors import RequestError

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "errors.md"
SOURCES: Final = (
    "server/magicqueue_server",
    "client/magicqueue/wire",
    "cores/magicqueue_cores",
)
NAMED_ALIKE: Final = {"BadWish": "BAD_REQUEST"}
"""Errors of the cores that are told under a code of another name."""

ADVICE: Final = {
    "BAD_JSON": (
        "The line is no JSON object by RFC 8259.",
        (
            "Mend the sender: its encoder, or what it sends between lines. The connection"
            " goes on, unless it was its first line."
        ),
    ),
    "BAD_REQUEST": (
        "A field is missing, has a value that it cannot have, or does not go with another.",
        (
            "Mend the request. The sentence names the field, and in a batch the index;"
            " nothing of the request has happened."
        ),
    ),
    "UNKNOWN_COMMAND": (
        "This server has no such command.",
        "Look at the spelling, or at the server's version: HELLO tells what it can.",
    ),
    "NOT_FOUND": (
        "The job is not there, or not in a state that the command applies to.",
        (
            "Of an ACK or a FAIL: the work was for nothing or has been judged already, as"
            " the lease was over; use longer leases or heartbeats. Else look with GETJOB."
        ),
    ),
    "STALE": (
        "The job has been handed out again since the attempt that was named.",
        "Drop the verdict: another worker has the job. Use longer leases or heartbeats.",
    ),
    "DUPLICATE": (
        'A job with the unique key is there, and the push said `"on_conflict":"reject"`.',
        "Nothing: the work is under way, by the job whose `id` the reply names.",
    ),
    "TOO_LARGE": (
        "A line, a job, a batch or a result is over its limit.",
        (
            "Send less at once, or keep the data elsewhere and push a reference to it."
            " HELLO tells the limits; the sentence names the option that raises one. After"
            " an over-long line the connection is closed."
        ),
    ),
    "FULL": (
        "The server holds as much as it may, or its disk does.",
        (
            "Push again later: everything else goes on, so workers make room. The sentence"
            " says what is full and which option bounds it."
        ),
    ),
    "PAUSED": (
        "Kept for a command that a paused queue refuses; none does today, pulls wait.",
        "RESUME the queue.",
    ),
    "UNAUTHORIZED": (
        "The connection has shown no token, or none that is good.",
        (
            "Send AUTH, or a token in HELLO (clients: `token=` or MAGICQUEUE_TOKEN). The"
            " connection is closed."
        ),
    ),
    "FORBIDDEN": (
        "The token does not allow that command, or not for that queue; nothing happened.",
        "Use another token, or ask whoever runs the server for the scope.",
    ),
    "READ_ONLY": (
        "The log could not be written, or is another server's now; no change is accepted.",
        "Mend the disk, and restart the server. Questions are still answered.",
    ),
    "SHUTTING_DOWN": (
        "The server is being stopped.",
        "Connect anew and try again: clients of ours do.",
    ),
    "INTERNAL": (
        "A bug of the server. The request may have had no effect.",
        "Look into the server's log, and report it.",
    ),
}


def codes_by_name() -> dict[str, str]:
    """The errors' names in the source, with their codes."""
    kinds = {kind.__name__: kind.code for kind in RequestError.__subclasses__()}
    return {**kinds, **NAMED_ALIKE}


def sentences() -> dict[str, set[str]]:
    """The sentences that are raised with each code."""
    found: dict[str, set[str]] = defaultdict(set)
    codes = codes_by_name()
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            for name, text in _raised(ast.parse(path.read_text())):
                if name in codes and text.strip("…:. "):
                    found[codes[name]].add(text)
    return found


def _raised(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield name, argument.value
            elif isinstance(argument, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…"
                    for part in argument.values
                )
                yield name, "".join(map(str, parts))


def page() -> str:
    """The page as it is to be."""
    found = sentences()
    lines = [
        "# Errors",
        "",
        "What a server answers when it refuses a request:",
        '`{"ok":false,"error":"a sentence","code":"A_CODE"}`. The code is for programs and',
        "never changes; the sentence is for people and may. `…` stands for names and",
        "numbers. This page is made of the source: `python tests/wire/errors_page.py`",
        "writes it, and a test compares.",
    ]
    for code, (meaning, advice) in ADVICE.items():
        lines += ["", f"## {code}", "", meaning, "", f"**What to do:** {advice}"]
        if found[code]:
            lines += ["", *(f"- `{text}`" for text in sorted(found[code]))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
