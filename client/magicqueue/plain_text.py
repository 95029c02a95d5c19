"""Text from elsewhere, made safe for a terminal, a log or a table.

A server's sentence, a queue's name, a job's data or error may hold characters that command
a terminal, turn what stands around them back to front, or end a line and so forge the
next. They are shown as escapes. What writes for people or programs passes its text through
here at its very end, so that no caller can forget it.
"""

import re
from typing import Final

_COMMANDING: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: terminals obey them; line ends are among them
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # change the direction of the text behind them
)
_NOT_PLAIN: Final = re.compile(f"[{_COMMANDING}\ud800-\udfff]")
_NOT_PLAIN_IN_JSON: Final = re.compile(
    b"[\t\n\r\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
"""The same in UTF-8. JSON has no other C0 in it, and UTF-8 no lone surrogates."""
_JSON_SPACE: Final = frozenset({b"\t", b"\n", b"\r"})


def plain(text: str) -> str:
    r"""Give a text as one harmless line: "a\nb\x9b" becomes r"a\nb\x9b"."""
    return _NOT_PLAIN.sub(_escape, text)


def plain_lines(text: str) -> list[str]:
    r"""Give the harmless lines of a text that may have several (ended by "\n")."""
    return [plain(line.removesuffix("\r")) for line in text.split("\n")]


def plain_json(document: bytes) -> bytes:
    r"""Give JSON as the same value in one line without such characters.

    Strings say "\u009b" instead; white space, which is between values only, is a space.
    """
    return _NOT_PLAIN_IN_JSON.sub(_escape_in_json, document)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _escape_in_json(match: re.Match[bytes]) -> bytes:
    found = match[0]
    return b" " if found in _JSON_SPACE else b"\\u%04x" % ord(found.decode())
