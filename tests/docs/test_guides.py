"""The Python in the pages runs: each page's blocks, against a server in memory."""

import ast
import asyncio
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from docs.pages import DOCS, blocks
from magicqueue import Tasks
from magicqueue_server.testing import InMemory, ServerProcess, in_memory

PAGES = sorted(
    str(path.relative_to(DOCS))
    for place in ("guides", "moving")
    for path in (DOCS / place).glob("*.md")
)
LEFT_TO_THE_READER = {
    "index.md": "",
    "tasks.md": """
from collections.abc import AsyncIterator
from contextlib import nullcontext as make_pool
from dataclasses import dataclass
from decimal import Decimal
Pool = object
draw = str
""",
    "testing.md": """
from datetime import timedelta
from magicqueue import SyncQueue, Tasks
tasks = Tasks("emails")
mailbox = []
@tasks.task
def welcome(to: str) -> None: mailbox.append(to)
@tasks.task
async def remind(to: str) -> None: mailbox.append(to)
def sign_up(to): welcome.push_sync(to)
""",
    "workers.md": """
from magicqueue import Queue, Worker
queue = Queue("api")
""",
    "security.md": """
from magicqueue import Queue, Worker
handler, secret = print, "mq_3vR0"
""",
    "cli.md": "",
    "cluster.md": "from magicqueue import Queue",
}
"""Other pages with Python, and what their blocks take for granted."""


async def _run(page: str) -> int:
    """Run a page's blocks in one namespace, which may await; count them.

    A block with a title is a module of that name, too, which later ones may import.
    """
    module = ModuleType("page")
    sys.modules["page"] = module
    names: dict[str, Any] = module.__dict__
    exec(LEFT_TO_THE_READER.get(page, ""), names)
    done = 0
    for block in blocks(page):
        if block.language != "python":
            continue
        code = compile(
            block.text.replace("…", ""),
            f"{page}:{done + 1}",
            "exec",
            ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
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
        if sys.modules[name].__spec__ is None:  # one that a page made
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_its_python_runs(page: str) -> None:
    expected = sum(block.language == "python" for block in blocks(page))
    with in_memory():
        assert asyncio.run(_run(page)) == expected


async def _work(magicqueue: InMemory) -> None:
    """Be the worker of a page's tasks."""
    while True:
        await asyncio.sleep(0.01)
        page = vars(sys.modules["page"])
        tasks = [one for one in page.values() if isinstance(one, Tasks)]
        await magicqueue.run_all(*tasks, raises=False)


async def _run_with_a_worker(page: str, magicqueue: InMemory) -> int:
    worker = asyncio.create_task(_work(magicqueue))
    try:
        return await _run(page)
    finally:
        worker.cancel()


@pytest.mark.parametrize("page", LEFT_TO_THE_READER)
def test_the_python_of_other_pages_runs(page: str) -> None:
    expected = sum(block.language == "python" for block in blocks(page))
    with in_memory() as magicqueue:
        assert asyncio.run(_run_with_a_worker(page, magicqueue)) == expected > 0


def test_no_page_with_python_is_left_out() -> None:
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    told = {page for page in there if any(b.language == "python" for b in blocks(page))}
    assert told <= {*PAGES, *LEFT_TO_THE_READER, "tutorial.md"}


def test_the_tests_of_the_page_about_testing_pass() -> None:
    with in_memory():
        asyncio.run(_run("testing.md"))
    page = sys.modules["page"]
    page.mailbox.clear()
    with in_memory() as magicqueue:
        page.test_a_new_user_is_welcomed(magicqueue)
    page.mailbox.clear()
    with in_memory() as magicqueue:
        asyncio.run(page.test_a_reminder_comes_after_a_day(magicqueue))
    with ServerProcess() as server:
        page.test_it_all(server)


def test_a_block_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [block for block in blocks("guides/unique.md") if block.language == "python"]
    broken = type(wrong[0])(
        "python", "", wrong[0].text.replace("== first.id", "!= first.id")
    )
    monkeypatch.setattr(sys.modules[__name__], "blocks", lambda _: [broken])
    with in_memory(), pytest.raises(AssertionError):
        asyncio.run(_run("guides/unique.md"))
