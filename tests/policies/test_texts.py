"""Texts of marks: those of new jobs, made for many at once, are those of any mark."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from magicqueue_cores.policies.alike import Alike
from magicqueue_cores.policies.group import new_line
from magicqueue_cores.policies.mark_texts import text_of
from magicqueue_cores.policies.terms_shared import TermsShared
from magicqueue_cores.policies.wishes import (
    TIMED,
    GroupedMark,
    Wishes,
    new_mark,
    weight_of,
)

NOW_MS = 1_764_000_000_000
SPANS = st.none() | st.integers(0, 1 << 53)
PARENTS = st.lists(st.integers(1, (1 << 53) - 1), max_size=20, unique=True).map(tuple)
WISHES = st.builds(
    Wishes,
    unique_key=st.just("key"),
    until=st.sampled_from(["done", "start"]),
    unique_for_ms=SPANS,
    ttl_ms=SPANS,
    on_expire=st.sampled_from(["remove", "dead"]),
    timeout_ms=SPANS,
    keep_result_ms=SPANS,
    parents=PARENTS,
    on_parent_failure=st.sampled_from(["wait", "fail", "run"]),
)
KEYS = st.lists(st.text(min_size=1), min_size=1, unique=True)


@given(WISHES, KEYS)
def test_marks_made_at_once_are_those_made_singly(wishes: Wishes, keys: list[str]) -> None:
    terms = TermsShared().asked("q", wishes)
    alike = Alike(terms, NOW_MS, keyed=True)
    for place, key in enumerate(keys):
        alike.places.append(place)
        alike.keys.append(key)
    singly = [new_mark(terms, key, NOW_MS) for key in keys]
    assert alike.texts() == list(map(text_of, singly))
    assert list(map(text_of, alike.marks())) == alike.texts()
    assert alike.weight == sum(weight_of(terms, key) for key in keys)


@given(WISHES)
def test_marks_without_keys_are_alike(wishes: Wishes) -> None:
    without = msgspec.structs.replace(wishes, unique_key=None)
    terms = TermsShared().asked("q", without)
    alike = Alike(terms, NOW_MS, keyed=False)
    alike.places += [0, 2]
    assert alike.texts() == [text_of(new_mark(terms, None, NOW_MS))] * 2
    assert list(map(text_of, alike.marks())) == alike.texts()
    assert alike.weight == 2 * terms.mark_bytes


@given(WISHES, KEYS)
def test_a_mark_is_read_as_it_was_told(wishes: Wishes, keys: list[str]) -> None:
    terms = TermsShared().asked("q", wishes)
    for key in (*keys, None):
        mark = new_mark(terms, key, NOW_MS)
        read = TermsShared().mark_of("q", text_of(mark))
        assert read == mark
        link = read.terms.link
        assert (() if link is None else link.parents) == wishes.parents


@given(WISHES, KEYS, st.sampled_from(["key", None]), st.integers(-(2**31), 2**31 - 1))
def test_marks_with_groups_are_those_of_any_mark(
    wishes: Wishes, groups: list[str], key: str | None, priority: int
) -> None:
    keyed = key is not None
    asked = msgspec.structs.replace(wishes, group=groups[0], unique_key=key)
    terms = TermsShared().asked("q", asked)
    alike = Alike(terms, NOW_MS, keyed=keyed)
    for place, group in enumerate(groups):
        alike.add(place, None if key is None else f"{key}{place}", group)
        alike.lines.append(new_line("q", group, priority))
    alike.seats = [2 * place for place in range(len(groups))]
    texts = alike.texts()
    assert list(map(text_of, alike.marks())) == texts
    keys: list[str | None] = [*alike.keys] if keyed else [None] * len(groups)
    assert alike.weight == sum(weight_of(terms, each) for each in keys)
    for group, mark, text in zip(groups, alike.marks(), texts, strict=True):
        read = TermsShared().mark_of("q", text)
        assert isinstance(mark, GroupedMark)
        assert isinstance(read, GroupedMark)
        assert (read.line.group.name, read.line.priority) == (group, priority)
        read.line = mark.line
        read.flags |= mark.flags & TIMED
        assert read == mark
