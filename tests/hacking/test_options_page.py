"""docs/options.md is what the table of options says."""

from hacking.options_page import PAGE, page
from magicqueue_server.options import OPTIONS


def test_the_page_is_up_to_date() -> None:
    text = page()
    assert PAGE.read_text("utf-8") == text, "run python tests/hacking/options_page.py"
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(OPTIONS)
    assert all(row.count(" | ") == 4 for row in rows), "a cell has a bar of its own"
