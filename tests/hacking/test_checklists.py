"""HACKING.md's checklists: each entry of each table has been through all of its steps."""

from collections.abc import Iterator
from typing import Final

import pytest

from hacking import a_job_field, a_record, a_verb, an_option
from hacking.checklist import Checklist

CHECKLISTS: Final = (
    a_job_field.CHECKLIST,
    a_verb.COMMAND,
    a_verb.CORE_VERB,
    a_record.CHECKLIST,
    an_option.CHECKLIST,
)


def entries() -> Iterator[tuple[Checklist, str]]:
    return ((each, entry) for each in CHECKLISTS for entry in each.entries)


@pytest.mark.parametrize(
    ("checklist", "entry"),
    [pytest.param(*one, id=f"{one[0].title}-{one[1]}") for one in entries()],
)
def test_all_is_done(checklist: Checklist, entry: str) -> None:
    missing = checklist.next_step(entry)
    assert missing is None, f"the next step is missing: {missing}"


def named(checklist: Checklist) -> str:
    return checklist.title


@pytest.mark.parametrize("checklist", CHECKLISTS, ids=named)
def test_no_step_holds_for_what_is_not_there(checklist: Checklist) -> None:
    """Each step can fail: for a name that nobody has written anywhere."""
    nothing = "never_heard_of"
    assert not any(done(nothing) for done in checklist.steps)
    first = checklist.next_step(nothing)
    assert first is not None
    assert "step 1 of" in first


@pytest.mark.parametrize("checklist", CHECKLISTS, ids=named)
def test_the_page_and_the_tests_have_the_same_steps(checklist: Checklist) -> None:
    assert len(checklist.texts) == len(checklist.steps)
