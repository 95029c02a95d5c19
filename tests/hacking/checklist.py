"""Checklists: what has to be where, for each entry of a table.

A list is derived from the table that knows its entries, so whoever adds an entry there has
nothing to add here: the tests fail with the next thing that is missing. What a step is
stands in HACKING.md alone, as an item of its section; here is how to see that it is done.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "HACKING.md"
_ITEM: Final = re.compile(r"^\d+\. ((?:.+\n(?: {3}.+\n)*))", re.MULTILINE)


class Checklist(NamedTuple):
    """Whether each step is done for an entry, in the order of the page's section.

    title: the section's heading. entries: what the table has.
    """

    title: str
    entries: tuple[str, ...]
    steps: tuple[Callable[[str], bool], ...]

    @property
    def texts(self) -> list[str]:
        """The steps in the page's words. Raises ValueError if it has no such section."""
        _, found, section = PAGE.read_text("utf-8").partition(f"## {self.title}\n")
        if not found:
            raise ValueError(f"HACKING.md has no section {self.title!r}")
        items = _ITEM.findall(section.partition("\n## ")[0])
        return [" ".join(item.split()) for item in items]

    def next_step(self, entry: str) -> str | None:
        """Return the first thing that is not done for an entry, None if all is."""
        for number, (text, done) in enumerate(zip(self.texts, self.steps, strict=True), 1):
            if not done(entry):
                return f"{entry}: step {number} of “{self.title}”: {text}"
        return None


@cache
def text_of(*places: str) -> str:
    """Return the text of files, and of all Python files in folders, named from the root."""
    paths = (ROOT / place for place in places)
    files = (sorted(path.rglob("*.py")) if path.is_dir() else [path] for path in paths)
    return "\n".join(path.read_text("utf-8") for some in files for path in some)
