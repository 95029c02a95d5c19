"""Each default and each limit is written once; where it is not, this says why."""

import pytest

from hacking.one_home import homes, numbers

LIMITS = "client/magicqueue/wire/limits.py"
LINES = "cores/magicqueue_cores/line_contract.py"
_OF_LINES = (
    "error_chars_max",
    "job_bytes_max",
    "line_bytes_max",
    "pull_jobs_max",
    "push_jobs_max",
    "reply_payload_bytes_max",
)
TWICE = {
    # A core can be had without a server, which tells it its limits; and the rooms of
    # cores and clients know nothing of each other.
    **{name: [LIMITS, LINES] for name in _OF_LINES},
    "result_bytes_max": [LIMITS, "cores/magicqueue_cores/policies/options.py"],
    # From there on an array is quicker than a list: of what is told, and of what is read.
    "list_max": [
        "cores/magicqueue_cores/array_core/lines.py",
        "server/magicqueue_server/wal/decode.py",
    ],
}
"""Numbers that have two homes."""


def test_each_number_has_one_home() -> None:
    twice = {name: modules for (name, _), modules in homes().items() if len(modules) > 1}
    assert twice == TWICE, "one number in two places: let one of them take the other's"


@pytest.mark.parametrize(
    "text",
    [
        "_JOBS_MAX: Final = 10 * 2**10",
        "JOBS_MAX = 10_240",
        "class Limits:\n    jobs_max: int = 10_240",
        "def push(*, jobs_max: int = 10 * 1024) -> None: ...",
        "def push(queue, jobs_max=10_240): ...",
    ],
)
def test_a_number_is_known_however_it_is_written(text: str) -> None:
    assert list(numbers(text)) == [("jobs_max", 10_240)]


def test_what_is_no_limit_is_no_business_of_it() -> None:
    text = "READY = 2\njobs_max = 0\nbytes_max = size()\nNAME_MAX = 'x'\nwait_s = True"
    assert list(numbers(text)) == []
