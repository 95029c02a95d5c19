"""What commands a terminal, forges lines or turns text round is shown as escapes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicqueue.plain_text import plain, plain_json, plain_lines

HARMFUL = [
    *map(chr, [*range(0x20), *range(0x7F, 0xA0)]),
    *map(chr, [0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
]


@pytest.mark.parametrize("character", HARMFUL, ids=lambda one: f"{ord(one):04x}")
def test_what_does_harm_is_escaped(character: str) -> None:
    escaped = plain(f"ä{character}b")
    assert escaped.isprintable()
    assert escaped.startswith("ä\\")
    document = plain_json(orjson.dumps(f"ä{character}b"))
    assert document.decode().isprintable()
    assert orjson.loads(document) == f"ä{character}b"


@given(st.text())
def test_nothing_else_changes(text: str) -> None:
    harmless = "".join(one for one in text if one not in HARMFUL)
    assert plain(harmless) == harmless
    assert plain_json(orjson.dumps(harmless)) == orjson.dumps(harmless)


@given(st.text())
def test_json_keeps_its_value(text: str) -> None:
    document = plain_json(orjson.dumps({text: [text]}))
    assert orjson.loads(document) == {text: [text]}
    assert not set(document.decode()) & set(HARMFUL)


def test_white_space_of_json_cannot_forge_a_line() -> None:
    assert plain_json(b'[1,\r\n\t"\\r"]') == b'[1,   "\\r"]'


def test_escapes_say_which_character_it_was() -> None:
    assert plain("a\x1b[2J\x9bz\x7f\n\u202e\udc80") == (
        "a\\x1b[2J\\x9bz\\x7f\\n\\u202e\\udc80"
    )
    assert plain_lines("one\r\ntwo\x1b") == ["one", "two\\x1b"]
