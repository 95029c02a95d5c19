"""A batch whose jobs differ in their groups alone is read at once, not job by job.

The control is the same batch with a job more that has a key: that is read job by job.
"""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magicqueue.errors import BadRequest
from magicqueue.wire.decode import decode_request
from magicqueue.wire.requests import PlainItem, PushBatch, PushItem
from magicqueue_cores.policies import InGroups, Wishes
from magicqueue_server.wishes import wishes_of_batch

_LONG: Final = "n" * 256
GROUPS: Final = st.sampled_from(
    ["a", "b", "gr\u00fcn", "a b", "", "\x7f", "\n", _LONG, _LONG[1:]]
)
BATCHES: Final = st.fixed_dictionaries(
    {},
    optional={
        "ttl": st.just(5),
        "timeout": st.just(7),
        "keep_result": st.sampled_from([0, 9]),
        "on_expire": st.just("dead"),
        "on_conflict": st.just("reject"),
        "unique": st.just("start"),
        "unique_for": st.just(3),
        "group": GROUPS,
    },
)


def wishes(batch: dict[str, Any], jobs: list[dict[str, Any]]) -> Any:
    """Give what a batch wishes, or the words of the refusal."""
    line = {"cmd": "PUSHB", "queue": "q", **batch, "jobs": [{"data": 1} | j for j in jobs]}
    request = decode_request(msgspec.json.encode(line))
    assert isinstance(request, PushBatch)
    try:
        return wishes_of_batch(request)
    except BadRequest as error:
        return str(error)


@given(BATCHES, st.lists(GROUPS, min_size=1, max_size=4))
def test_it_is_as_if_read_job_by_job(batch: dict[str, Any], groups: list[str]) -> None:
    jobs = [{"group": group} for group in groups]
    ours, singly = wishes(batch, jobs), wishes(batch, [*jobs, {"unique_key": "k"}])
    if isinstance(singly, str):
        assert ours == singly
        return
    assert isinstance(ours, InGroups)
    assert isinstance(singly, list)
    for group, of_job in zip(groups, singly, strict=False):
        assert isinstance(of_job, Wishes)
        assert msgspec.structs.replace(ours.wishes, group=group) == of_job


WISHED: Final = sorted(
    set(PushItem.__struct_fields__) - set(PlainItem.__struct_fields__) - {"group"}
)


@pytest.mark.parametrize("name", WISHED)
def test_a_job_that_says_more_has_all_read_job_by_job(name: str) -> None:
    """Every option there is: one that was forgotten would be dropped in silence."""
    jobs = [PushItem(data=msgspec.Raw(b"1"), group="g") for _ in range(2)]
    assert isinstance(wishes_of_batch(PushBatch(queue="q", jobs=jobs)), InGroups)
    setattr(jobs[1], name, {"unique_key": "k", "depends_on": [1]}.get(name, 1))
    try:
        found = wishes_of_batch(PushBatch(queue="q", jobs=jobs))
    except BadRequest:
        return  # it was seen, and is good for nothing alone
    assert isinstance(found, list)


def test_a_key_of_the_batch_or_a_job_without_group_has_all_read_job_by_job() -> None:
    assert isinstance(wishes({"unique_key": "k"}, [{"group": "g"}]), list)
    assert isinstance(wishes({"group": "g"}, [{"group": "g"}, {}]), list)
