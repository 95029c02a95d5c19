"""docs/ARCHITECTURE.md names every module of the server, and none that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
SERVER = ROOT / "server" / "magicqueue_server"


def named_in_the_table() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_it_names_every_module_of_the_server() -> None:
    files = {path.stem for path in SERVER.glob("*.py") if not path.stem.startswith("_")}
    folders = {path.parent.name for path in SERVER.glob("*/__init__.py")}
    assert named_in_the_table() == files | folders


def test_what_it_names_of_the_client_is_there() -> None:
    part = PAGE.partition("## client")[2].partition("## Tests")[0]
    here = {path.stem for path in (ROOT / "client" / "magicqueue").iterdir()}
    assert set(re.findall(r"`(\w+)`", part)) <= here


def test_its_test_folders_are_there() -> None:
    for folder in re.findall(r"`(tests/\w+)`", PAGE):
        assert (ROOT / folder).is_dir(), folder
