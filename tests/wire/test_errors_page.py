"""docs/errors.md names every code and every sentence, and none that is not there."""

from magicqueue.errors import ERROR_CODES
from wire.errors_page import ADVICE, PAGE, page, sentences


def test_every_code_has_its_advice() -> None:
    assert set(ADVICE) == set(ERROR_CODES)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run python tests/wire/errors_page.py"


def test_sentences_are_found() -> None:
    found = sentences()
    assert "cmd must be a string" in found["BAD_REQUEST"]
    assert (
        "attempt … of job … is over: the job was handed out again since" in found["STALE"]
    )
    assert found.keys() <= set(ADVICE)
