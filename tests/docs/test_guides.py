"""The Python in the guides runs: each page's blocks, against a server in memory."""

import ast
import asyncio
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from docs.pages import DOCS, blocks
from magicqueue_server.testing import in_memory

PAGES = sorted(
    str(path.relative_to(DOCS))
    for place in ("guides", "moving")
    for path in (DOCS / place).glob("*.md")
)


async def _run(page: str) -> int:
    """Run a page's blocks in one namespace, which may await; count them.

    A block with a title is a module of that name, too, which later ones may import.
    """
    module = ModuleType("page")
    sys.modules["page"] = module
    names: dict[str, Any] = module.__dict__
    done = 0
    for block in blocks(page):
        if block.language != "python":
            continue
        code = compile(
            block.text, f"{page}:{done + 1}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        outcome = eval(code, names)
        if inspect.iscoroutine(outcome):
            await outcome
        if block.title.endswith(".py"):
            name = block.title.removesuffix(".py").replace("/", ".")
            sys.modules[name] = module
        done += 1
    return done


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith("magicqueue"):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_its_python_runs(page: str) -> None:
    expected = sum(block.language == "python" for block in blocks(page))
    with in_memory():
        assert asyncio.run(_run(page)) == expected


def test_a_block_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [block for block in blocks("guides/unique.md") if block.language == "python"]
    broken = type(wrong[0])(
        "python", "", wrong[0].text.replace("== first.id", "!= first.id")
    )
    monkeypatch.setattr(sys.modules[__name__], "blocks", lambda _: [broken])
    with in_memory(), pytest.raises(AssertionError):
        asyncio.run(_run("guides/unique.md"))
