"""What README, docs and messages tell people to install exists, under its real name."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import magicqueue
from magicqueue_server.about import DISTRIBUTION, version

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WHEEL = PROJECT["name"].replace("-", "_")
TEXTS = sorted(
    path
    for place in ("client", "cores", "server", "docs", "packaging", "README.md", "Makefile")
    for path in [ROOT / place, *(ROOT / place).rglob("*")]
    if path.is_file() and path.suffix in {".py", ".md", ".toml", "", ".service"}
)


def _installed() -> list[tuple[str, str]]:
    """Each argument of a `pip install` in the project's texts, with its file."""
    found: list[tuple[str, str]] = []
    for path in TEXTS:
        for rest in re.findall(
            r"pip install ((?:\$\([^)\n]*\)|[^`#\n)])*)", path.read_text()
        ):
            arguments = re.findall(r"'[^']+'|\"[^\"]+\"|\S+", rest)
            names = [text.strip("'\"\\") for text in arguments if not text.startswith("-")]
            found += [(str(path.relative_to(ROOT)), name) for name in names if name]
    return found


def test_the_name_is_not_that_of_another_authors_project() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert PROJECT["name"] != "magicqueue"
    assert version() == magicqueue.__version__ != "0+uninstalled"
    assert PROJECT["scripts"] == {"magicqueue": "magicqueue.cli:main"}


def test_the_readme_says_how_to_install() -> None:
    told = [name for file, name in _installed() if file == "README.md"]
    assert told == [f"$(ls dist/{WHEEL}-*.whl)[server,cli]", ".[server,cli,array]"]


@pytest.mark.parametrize(("file", "name"), _installed())
def test_what_is_to_be_installed_exists(file: str, name: str) -> None:
    extras = set(PROJECT["optional-dependencies"])
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    lines = [line for group in groups.values() for line in group if isinstance(line, str)]
    others = {re.split(r"[><=\[]", line)[0] for line in lines}
    ours = rf"\.|(?:dist/)?{WHEEL}-\*\.whl|\$\(ls \S+/{WHEEL}-\*\.whl\)"
    if match := re.fullmatch(rf"(?:{ours})(?:\[([\w,]+)\])?", name):
        assert match[1] is None or set(match[1].split(",")) <= extras, file
    else:
        assert re.split(r"[><=\[]", name)[0] in others | {"pip", *groups}, file


def test_the_readmes_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test", "wheel"} <= targets
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target
