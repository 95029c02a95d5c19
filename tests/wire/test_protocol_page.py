"""docs/protocol.md says what the codec does: its requests, commands, codes and limits."""

import re
from pathlib import Path
from typing import Final

import msgspec

from magicqueue.errors import ERROR_CODES
from magicqueue.wire.decode import decode_request
from magicqueue.wire.limits import (
    ERROR_CHARS_MAX,
    NESTING_MAX,
    NUMBER_CHARS_MAX,
    Limits,
)
from magicqueue.wire.requests import COMMANDS

PAGE: Final = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
SIZES: Final = {64 * 2**20: "64 MiB", 2**20: "1 MiB", 16 * 2**20: "16 MiB", 2**16: "64 KiB"}


def test_every_request_on_the_page_is_one() -> None:
    arrows = re.findall(r"^→ (.*)$", PAGE, re.MULTILINE)
    quoted = re.findall(r"""['`](\{"cmd":"[A-Z]+"[^'`]*\})['`]""", PAGE)
    requests = [decode_request(line.encode()) for line in arrows + quoted]
    assert len(arrows) >= 12
    assert len(quoted) >= 4
    assert len({type(request) for request in requests}) >= 13


def test_every_command_has_its_section() -> None:
    headings = re.findall(r"^### (.*)$", PAGE, re.MULTILINE)
    named = {name for heading in headings for name in heading.split(" and ")}
    assert named == set(COMMANDS)


def test_every_field_is_named() -> None:
    fields = {f for kind in COMMANDS.values() for f in kind.__struct_encode_fields__}
    assert {field for field in fields if f"`{field}`" not in PAGE} == set()


def test_every_code_has_its_row() -> None:
    assert tuple(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == ERROR_CODES


def test_limits_are_those_of_the_code() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+_max)` \| `--[a-z-]+` \| ([^|]*) \|", PAGE, re.MULTILINE)
    )
    limits = msgspec.structs.asdict(Limits())
    assert rows == {name: SIZES.get(size, f"{size:,}") for name, size in limits.items()}
    assert f"deeper than {NESTING_MAX};" in PAGE
    assert f"more than {NUMBER_CHARS_MAX:,} characters" in PAGE
    assert f"cut to {ERROR_CHARS_MAX:,} characters" in PAGE


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors
