"""The tutorial, word for word: each file written, each command typed, in its order."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import PageRunner, agrees, blocks


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[PageRunner]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runner = PageRunner(tmp_path, port)
    yield runner
    runner.close()


def test_a_newcomer_may_follow_it_word_for_word(runner: PageRunner) -> None:
    all_blocks = blocks("tutorial.md")
    for block in all_blocks:
        runner.do(block)
    assert runner.did == len(all_blocks) > 20


@pytest.mark.parametrize(
    ("expected", "said", "agree"),
    [
        (["pushed job 1"], ["pushed job 1"], True),
        (["pushed job 1"], ["pushed job 2"], False),
        (["pushed job 1"], [], False),
        ([], ["Traceback"], False),
        (["a", "…", "b"], ["a", "x", "y", "b"], True),
        (["a", "…", "b"], ["a", "b", "c"], False),
        (["to …: 3 jobs"], ["to emails: 3 jobs"], True),
        (["done in 1.2 ms [7]"], ["done in 88 µs [4711]"], True),
        (["done in 1.2 ms"], ["done in ms"], False),
        (["listens on 6789"], ["listens on 40123"], True),
    ],
)
def test_what_a_page_says_is_held_to_what_came(
    expected: list[str], said: list[str], *, agree: bool
) -> None:
    assert agrees(expected, said) is agree
