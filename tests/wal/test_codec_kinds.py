"""Every kind of record comes back from its bytes, and no bytes break the decoder."""

from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magicqueue_cores import records
from magicqueue_server.wal import layouts as lay
from magicqueue_server.wal.decode import BadRecord, decode
from magicqueue_server.wal.encode import encode
from wal.sample_logs import plain

NUMBER = st.integers(-(2**63), 2**63 - 1)
ID = st.integers(1, 2**53 - 1)
BYTES = st.binary(max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
COUNT_MAX = 70
"""More than what is read as lists and not as views."""


def columns(kind: type[Any], count: int) -> dict[str, st.SearchStrategy[Any]]:
    """What the fields of a record may be that the table tells of."""
    layout = lay.LAYOUTS[kind]

    def many(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(one, min_size=count, max_size=count)

    numbers = many(NUMBER) | many(NUMBER).map(lambda some: array("q", some))
    fields: dict[str, st.SearchStrategy[Any]] = {
        name: st.booleans() if name in lay.TRUTHS else NUMBER for name in layout.fixed
    }
    fields.pop("", None)
    fields |= dict.fromkeys(layout.columns, numbers)
    fields |= dict.fromkeys(layout.texts, many(st.none() | TEXT))
    fields |= dict.fromkeys(layout.blobs, many(BYTES))
    return {**fields, **({layout.text: TEXT} if layout.text else {})}


@st.composite
def some_record(draw: st.DrawFn, kinds: Sequence[type[Any]] = tuple(lay.LAYOUTS)) -> Any:
    kind = draw(st.sampled_from(kinds))
    count = draw(st.sampled_from((0, 1, 2, 3, COUNT_MAX)))
    return kind(**draw(st.fixed_dictionaries(columns(kind, count))))


def bytes_of(record: records.Record) -> bytes:
    parts: list[bytes] = []
    size = encode(record, parts)
    data = b"".join(parts)
    assert (len(data), size % 8) == (size, 0)
    return data


def test_every_kind_is_in_the_table_once() -> None:
    kinds = set(records.Record.__args__) - {records.Origin, records.Restarted}
    assert set(lay.KINDS) == kinds
    assert sorted(lay.KINDS.values()) == list(range(1, len(kinds) + 1))
    for kind, layout in lay.LAYOUTS.items():
        named = {*layout.fixed, *layout.columns, layout.text, *layout.texts, *layout.blobs}
        assert named - {""} == set(kind.__struct_fields__)


@settings(max_examples=300, deadline=None)
@given(st.lists(some_record(), max_size=3))
def test_every_kind_comes_back(some: list[records.Record]) -> None:
    data = b"".join(map(bytes_of, some))
    assert list(map(plain, decode(memoryview(data)))) == list(map(plain, some))


@settings(max_examples=500, deadline=None)
@given(some_record(), st.data())
def test_bytes_that_changed_are_records_or_refused(
    record: records.Record, data: st.DataObject
) -> None:
    """Nothing but `BadRecord` comes of them, and no text that is not there."""
    changed = bytearray(bytes_of(record))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from((0, 1, 8, 0x7F, 0x80, 0xFF)))
    del changed[
        data.draw(st.integers(0, len(changed))) if data.draw(st.booleans()) else 10**9 :
    ]
    try:
        found = list(decode(memoryview(bytes(changed))))
    except BadRecord:
        return
    for one in found:
        assert type(one) in lay.KINDS
        assert len(repr(plain(one))) < 10**6


KEPT = records.Kept("result", [b"k1", b"k2"], [b"v", b""])
KEYS_AT = lay.RECORD_HEAD.size + 8
"""Where the lengths of the keys are, behind the name of the space."""


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (KEYS_AT, b"\xff\xff\xff\xff"),
        (KEYS_AT, b"\xff\xff\xff\x7f"),
        (KEYS_AT, b"\x09\0\0\0"),
        (4, b"\x03\0\0\0"),
        (4, b"\xff\xff\xff\xff"),
        (2, b"\xff\xff"),
        (lay.RECORD_HEAD.size, b"\xff"),
    ],
    ids=["no length", "far too long", "too long", "more", "most", "text", "utf-8"],
)
def test_bounds_of_facts_are_checked(at: int, value: bytes) -> None:
    data = bytearray(bytes_of(KEPT))
    assert list(map(plain, decode(memoryview(bytes(data))))) == [plain(KEPT)]
    data[at : at + len(value)] = value
    with pytest.raises(BadRecord):
        list(decode(memoryview(bytes(data))))


@pytest.mark.parametrize("record", [KEPT, records.Acked([1]), records.Gone("s", [b"k"])])
def test_what_is_left_over_is_refused(record: records.Record) -> None:
    data = bytes_of(record) + bytes(8)
    kind, flags, text, count, length = lay.RECORD_HEAD.unpack_from(data)
    longer = lay.RECORD_HEAD.pack(kind, flags, text, count, length + 8)
    with pytest.raises(BadRecord):
        list(decode(memoryview(longer + data[len(longer) :])))
