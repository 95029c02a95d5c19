"""The rules for a job's data that a JSON parser alone does not keep.

msgspec's `Raw` keeps the bytes of a value after checking its grammar, but looks neither at
UTF-8 nor at surrogates inside, nests until Python's own limit, and takes numbers of any
length. Each rule is checked on the whole line or batch where that is enough: a line that
is ASCII without a backslash, with payloads too short to break a rule, costs two searches.

Depth is counted on the brackets alone, outside strings. Taking away every `[]` lowers the
depth by exactly one and most data (lists of lists, of objects) has nearly no brackets left
after a few such turns, so that the slow count that follows is short.
"""

import re
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from magicqueue.errors import BadJson
from magicqueue.wire.limits import NESTING_MAX, NUMBER_CHARS_MAX

_LONE_SURROGATE: Final = re.compile(
    rb"""\\u[dD](?:
        [89abAB]..(?!\\u[dD][c-fC-F])
        |[c-fC-F](?<!\\u[dD][89abAB]..\\u[dD].))""",
    re.VERBOSE | re.DOTALL,
)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")
_PEELS: Final = 4
_SHORTEST_TOO_DEEP: Final = 2 * (NESTING_MAX + 1)
_TO_DIGIT: Final = bytes(48 if chr(b) in "0123456789+-.eE" else 32 for b in range(256))
_NUMBER_TOO_LONG: Final = b"0" * (NUMBER_CHARS_MAX + 1)


def check_text(line: bytes) -> None:
    """Refuse a line that is not UTF-8 or has an escape that no string can hold.

    Raises BadJson. The grammar is not looked at.
    """
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise BadJson(
                f"the line is not valid UTF-8 (at byte {error.start}): encode it as UTF-8"
            ) from None
    surrogates = b"\\ud" in line or b"\\uD" in line
    if surrogates and _LONE_SURROGATE.search(line.replace(b"\\\\", b"  ")):
        raise BadJson(
            "a string has a surrogate escape (\\ud800 to \\udfff) without its other half"
        )


def check_payloads(payloads: Sequence[bytes], where: str) -> None:
    """Refuse data that nests too deep or holds too long a number.

    payloads: whole JSON values. where: "data", or "jobs[{}].data" to name the index.
    Raises BadJson that names the first bad one.
    """
    if max(map(len, payloads), default=0) < _SHORTEST_TOO_DEEP:
        return
    for index, payload in enumerate(payloads):
        if len(payload) >= _SHORTEST_TOO_DEEP and _nests_too_deep(payload):
            raise BadJson(
                f"{where.format(index)} nests deeper than {NESTING_MAX}: flatten it"
            )
        if len(payload) > NUMBER_CHARS_MAX and _has_long_number(payload):
            raise BadJson(
                f"{where.format(index)} has a number of more than {NUMBER_CHARS_MAX}"
                " characters: send it as a string"
            )


def _outside_strings(payload: bytes) -> bytes:
    bare = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b'"'.join(bare.split(b'"')[::2])


def _nests_too_deep(payload: bytes) -> bool:
    if payload.count(b"[") + payload.count(b"{") <= NESTING_MAX:
        return False
    brackets = _outside_strings(payload).translate(_BRACKETS, _NO_BRACKETS)
    depth_max = NESTING_MAX
    for _ in range(_PEELS):
        brackets = brackets.replace(b"[]", b"")
        depth_max -= 1
    steps = array("b", brackets.translate(_STEPS))
    return max(accumulate(steps), default=0) > depth_max


def _has_long_number(payload: bytes) -> bool:
    if _NUMBER_TOO_LONG not in payload.translate(_TO_DIGIT):
        return False
    return _NUMBER_TOO_LONG in _outside_strings(payload).translate(_TO_DIGIT)
