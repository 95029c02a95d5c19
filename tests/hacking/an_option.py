"""What has to be where for an option of the server. The table is `options.OPTIONS`."""

import re
from functools import cache
from typing import Final

from hacking.checklist import Checklist, text_of
from hacking.options_page import PAGE
from magicqueue_server.options import OPTIONS

NAMES: Final = tuple(option.name for option in OPTIONS)
CONFIG: Final = "server/magicqueue_server/config.py"


def is_read(name: str) -> bool:
    """Whether the server asks its configuration for it."""
    return f'["{name}"]' in text_of("server/magicqueue_server")


@cache
def set_in_tests() -> frozenset[str]:
    """Return all that tests set by a name: as a flag, a variable, an argument or a key."""
    ways = r"--(?:no-)?([a-z-]+)|MAGICQUEUE_([A-Z_]+)|\b([a-z_]+) ?=|[\"']([a-z_]+)[\"']:"
    found = re.findall(ways, text_of("tests"))
    names = {name for parts in found for name in parts}
    return frozenset(name.lower().replace("-", "_") for name in names)


CHECKLIST: Final = Checklist(
    "An option of the server",
    NAMES,
    (
        NAMES.__contains__,
        is_read,
        lambda name: name in set_in_tests(),
        lambda name: f"| `{name}` |" in PAGE.read_text("utf-8"),
    ),
)
