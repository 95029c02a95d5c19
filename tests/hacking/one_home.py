"""Where a default or a limit is written: each such number has one home.

A *home* is a module in whose constants, fields or defaults of arguments a number has a
name. The same name with the same number in two modules is one fact in two homes: who
changes it in one of them changes half of it. `python
tests/hacking/one_home.py` lists those there are.
"""

import ast
import operator
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("client", "cores", "server")
_ABOUT: Final = re.compile(
    r"(max|min|most|page|high|bytes|jobs|chars|attempts|priority|every|ahead|linger)$"
    r"|_(ms|s|ns)$"
)
"""How names of defaults and limits end: other numbers are states, columns and places."""
_WORKED_OUT: Final[dict[type[ast.operator], Callable[[Any, Any], float]]] = {
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.Sub: operator.sub,
    ast.Add: operator.add,
}
_NOTHING: Final = (0, 1)
"""None, no bound, one of them: no facts."""
KERNELS: Final = "cores/magicqueue_cores/kernels/"
"""Compiled with constants of their own, which their tests hold against the contract's."""


def homes() -> dict[tuple[str, float], list[str]]:
    """Return the modules in which each named number is written."""
    found: dict[tuple[str, float], dict[str, None]] = defaultdict(dict)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            if where.startswith(KERNELS):
                continue
            for name, number in numbers(path.read_text("utf-8")):
                found[name, number][where] = None
    return {number: list(modules) for number, modules in found.items()}


def numbers(text: str) -> Iterator[tuple[str, float]]:
    """Yield the names and values of defaults and limits in a module's text."""
    for name, value in _named(ast.parse(text)):
        plain = name.strip("_").lower()
        number = _number(value)
        if number is not None and number not in _NOTHING and _ABOUT.search(plain):
            yield plain, number


def _named(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, node.value
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = node.args.posonlyargs + node.args.args
            pairs = zip(reversed(taken), reversed(node.args.defaults), strict=False)
            for argument, default in (
                *pairs,
                *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
            ):
                if default is not None:
                    yield argument.arg, default


def _number(node: ast.expr) -> float | None:
    """Return the value of a number, also of one that is worked out from numbers."""
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return cast("float", node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _WORKED_OUT:
        left, right = _number(node.left), _number(node.right)
        if left is not None and right is not None:
            return _WORKED_OUT[type(node.op)](left, right)
    return None


if __name__ == "__main__":
    for (name, number), modules in sorted(homes().items()):
        if len(modules) > 1:
            sys.stdout.write(f"{name} = {number:g}: {', '.join(modules)}\n")
