"""A slow, strict reader of JSON, to check the codec against.

It follows RFC 8259 rule by rule over bytes, with RFC 3629 for UTF-8, and shares no code
with the codec or with a JSON library. Containers under way are kept on a list of its own,
so no depth is too much for it. Every value remembers where it stands in the text, how deep
it nests and how long its longest number is: the project's own rules are about these.
"""

import re
from dataclasses import dataclass, field
from typing import Final

_UTF8: Final = re.compile(
    rb"""(?:[\x00-\x7f]
        |[\xc2-\xdf][\x80-\xbf]
        |\xe0[\xa0-\xbf][\x80-\xbf]
        |[\xe1-\xec\xee\xef][\x80-\xbf]{2}
        |\xed[\x80-\x9f][\x80-\xbf]
        |\xf0[\x90-\xbf][\x80-\xbf]{2}
        |[\xf1-\xf3][\x80-\xbf]{3}
        |\xf4[\x80-\x8f][\x80-\xbf]{2})*""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX: Final = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES: Final = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_LITERALS: Final = ((b"true", "bool"), (b"false", "bool"), (b"null", "null"))


class NotJsonError(Exception):
    """The text is not strict JSON."""


@dataclass(slots=True)
class Value:
    """One value; `kind` is object, array, string, int, float, bool or null."""

    kind: str
    start: int
    end: int = 0
    text: str = ""
    items: list["Value"] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    depth: int = 0
    number_chars: int = 0

    def members(self) -> dict[str, "Value"]:
        """Give an object's members, the last of each name."""
        return dict(zip(self.keys, self.items, strict=True))


def parse(text: bytes) -> Value:
    """Read one value with nothing but white space around it."""
    if _UTF8.fullmatch(text) is None:
        raise NotJsonError("not UTF-8")
    value, pos = _value(text, _skip(text, 0))
    if _skip(text, pos) != len(text):
        raise NotJsonError(f"more text at {pos}")
    return value


def _skip(text: bytes, pos: int) -> int:
    space = _SPACE.match(text, pos)
    assert space is not None
    return space.end()


def _value(text: bytes, pos: int) -> tuple[Value, int]:
    open_ones: list[Value] = []
    while True:
        value, pos = _start(text, pos)
        if value.kind in {"array", "object"} and not value.end:
            open_ones.append(value)
            if value.kind == "object":
                pos = _key(text, pos, value)
            continue
        while open_ones:
            parent = open_ones[-1]
            parent.items.append(value)
            parent.depth = max(parent.depth, value.depth + 1)
            parent.number_chars = max(parent.number_chars, value.number_chars)
            pos = _skip(text, pos)
            mark = text[pos : pos + 1]
            if mark == b",":
                pos = _skip(text, pos + 1)
                if parent.kind == "object":
                    pos = _key(text, pos, parent)
                break
            if mark != (b"]" if parent.kind == "array" else b"}"):
                raise NotJsonError(f"no comma or end at {pos}")
            pos += 1
            parent.end = pos
            value = open_ones.pop()
        else:
            return value, pos


def _start(text: bytes, pos: int) -> tuple[Value, int]:
    """Read a scalar or an empty container, or open a container up to its first item."""
    mark = text[pos : pos + 1]
    if mark in {b"[", b"{"}:
        value = Value("array" if mark == b"[" else "object", pos, depth=1)
        pos = _skip(text, pos + 1)
        if text[pos : pos + 1] == (b"]" if mark == b"[" else b"}"):
            pos += 1
            value.end = pos
        return value, pos
    if mark == b'"':
        string, end = _string(text, pos)
        return Value("string", pos, end, string), end
    for literal, kind in _LITERALS:
        if text.startswith(literal, pos):
            end = pos + len(literal)
            return Value(kind, pos, end, literal.decode()), end
    number = _NUMBER.match(text, pos)
    if number is None:
        raise NotJsonError(f"no value at {pos}")
    digits = number[0].decode()
    kind = "float" if set(digits) & set(".eE") else "int"
    return Value(kind, pos, number.end(), digits, number_chars=len(digits)), number.end()


def _key(text: bytes, pos: int, parent: Value) -> int:
    if text[pos : pos + 1] != b'"':
        raise NotJsonError(f"no key at {pos}")
    key, pos = _string(text, pos)
    pos = _skip(text, pos)
    if text[pos : pos + 1] != b":":
        raise NotJsonError(f"no colon at {pos}")
    parent.keys.append(key)
    return _skip(text, pos + 1)


def _string(text: bytes, pos: int) -> tuple[str, int]:
    parts: list[str] = []
    pos += 1
    while True:
        plain = _PLAIN.match(text, pos)
        assert plain is not None
        parts.append(plain[0].decode())
        pos = plain.end()
        mark = text[pos : pos + 1]
        if mark == b'"':
            return _join(parts), pos + 1
        escape = text[pos + 1 : pos + 2]
        if mark != b"\\" or not escape:
            raise NotJsonError(f"a string ends or has a control character at {pos}")
        if escape == b"u":
            code = _HEX.match(text, pos + 2)
            if code is None:
                raise NotJsonError(f"no four hex digits at {pos}")
            parts.append(chr(int(code[0], 16)))
            pos += 6
        elif escape[0] in _ESCAPES:
            parts.append(_ESCAPES[escape[0]])
            pos += 2
        else:
            raise NotJsonError(f"no such escape at {pos}")


def _join(parts: list[str]) -> str:
    units = "".join(parts).encode("utf-16-le", "surrogatepass")
    try:
        return units.decode("utf-16-le")
    except UnicodeDecodeError:
        raise NotJsonError("half a surrogate pair") from None
