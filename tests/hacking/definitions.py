"""In how many definitions a fact is known: what it costs to add another one like it.

`python tests/hacking/definitions.py max_attempts` lists the functions, methods, structs and
constants of the product in whose code a name stands, in any spelling (`X_MAX_ATTEMPTS`,
too); what is only said in a docstring or a comment does not count.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("client", "cores", "server")
_DEFINES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_WORDS: Final = ("id", "attr", "arg", "name", "value", "module")


def definitions(name: str) -> list[str]:
    """Return `file: definition` of each that mentions a name, in order."""
    said = re.compile(rf"(?<![a-z]){name}s?(?![a-z])", re.IGNORECASE)
    found: list[str] = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text, where = path.read_text("utf-8"), path.relative_to(ROOT)
            if not said.search(text):
                continue
            for node, qualified in _parts(ast.parse(text), ""):
                if any(said.search(word) for word in _words(node)):
                    found.append(f"{where}: {qualified}")
    return list(dict.fromkeys(found))


def _parts(tree: ast.AST, within: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield the statements of a module and its classes, each with what it defines."""
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue  # whoever imports it, uses it
        if isinstance(node, ast.ClassDef):
            yield from _parts(node, f"{within}{node.name}.")
        elif isinstance(node, _DEFINES):
            yield node, f"{within}{node.name}"
        else:
            yield node, within.rstrip(".") or _target(node)


def _target(node: ast.stmt) -> str:
    """Return what a statement of a module makes."""
    for target in getattr(node, "targets", None) or [getattr(node, "target", None)]:
        if isinstance(target, ast.Name):
            return target.id
    return "(the module)"


def _words(tree: ast.AST) -> Iterator[str]:
    """Yield all names and texts in the code of a definition, but for docstrings."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        for field in _WORDS:
            word = getattr(node, field, None)
            if isinstance(word, bytes):
                word = word.decode("latin-1")
            if isinstance(word, str) and id(node) not in docstrings:
                yield word


if __name__ == "__main__":
    for one in sys.argv[1:]:
        here = definitions(one)
        sys.stdout.write("\n".join(here) + f"\n{one}: {len(here)} definitions\n")
