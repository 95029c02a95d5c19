"""What `make docs` cannot know: the reference has all names, and pages name real things."""

import re

import pytest

import magicqueue
from docs.pages import DOCS

REFERENCE = {path.name: path.read_text() for path in (DOCS / "reference").glob("*.md")}


def test_every_public_name_is_in_the_reference() -> None:
    told = set(
        re.findall(r"^::: [\w.]*?(\w+)$", "\n".join(REFERENCE.values()), re.MULTILINE)
    )
    errors = {
        name
        for name in magicqueue.__all__
        if getattr(magicqueue, name).__class__ is type
        and getattr(magicqueue, name).__module__ == "magicqueue.errors"
    }
    assert "errors" in told
    assert set(magicqueue.__all__) - errors - {"__version__"} <= told


def test_every_page_is_in_the_navigation() -> None:
    text = (DOCS.parent / "mkdocs.yml").read_text()
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages == set(re.findall(r"([\w/-]+\.md)\n", text)) - {
        "DESIGN.md",
        "CHANGELOG.md",
    }


def test_metrics_that_are_told_of_exist() -> None:
    there = set(re.findall(r"`(magicqueue_\w+)`", (DOCS / "http.md").read_text()))
    page = (DOCS / "guides" / "monitoring.md").read_text()
    there |= set(re.findall(r"^\| `(magicqueue_worker_\w+)` \|", page, re.MULTILINE))
    alerts = (DOCS.parent / "packaging" / "monitoring" / "alerts.yaml").read_text()
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in re.findall(r"magicqueue_\w+", alerts)
    }
    assert len(asked) >= 3
    assert asked <= there


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))
)
def test_its_links_lead_somewhere(page: str) -> None:
    path = DOCS / page
    links = re.findall(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)", path.read_text())
    for link in links:
        if "://" not in link:
            assert (path.parent / link).exists(), link
