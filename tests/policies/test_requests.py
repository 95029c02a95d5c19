"""Request keys: a push that is repeated makes no second job."""

import pytest

from magicqueue_cores.policies import BadRepeat, PolicyOptions
from magicqueue_cores.records import Kept, Pushed
from policies.layered import Layered


@pytest.fixture
def layer(core_name: str) -> Layered:
    return Layered(core_name)


def test_a_repeat_has_the_same_ids_and_makes_no_job(layer: Layered) -> None:
    one = layer.push(req_key="r")
    many = layer.push_items({}, {"unique_key": "k"}, {"unique_key": "k"}, req_key="s")
    assert list(many.ids) == [2, 3, 3]
    layer.ack(*layer.pull(9))
    for each in (layer, layer.restarted()):
        again = each.push(req_key="r")
        assert (list(again.ids), again.repeated) == (list(one.ids), True)
        again = each.push_items({}, {}, {}, req_key="s")
        assert (list(again.ids), again.repeated) == ([2, 3, 3], True)
        assert each.push(queue="other", req_key="r").repeated is False
        assert each.policies.job_of("q", "r", each.now) == 1
        assert each.policies.job_of("q", "s", each.now) is None
        assert each.policies.job_of("q", "t", each.now) is None
        with pytest.raises(BadRepeat):
            each.push_items({}, {}, req_key="s")


def test_it_is_in_the_frame_of_its_push(layer: Layered) -> None:
    layer.push_items({"unique_key": "k"}, {}, req_key="r")
    kinds = [type(record).__name__ for record in layer.records]
    assert kinds == ["Pushed", "Marked", "Kept"]
    assert isinstance(layer.records[0], Pushed)
    assert isinstance(layer.records[2], Kept)


def test_it_ends_with_its_time(core_name: str) -> None:
    layer = Layered(core_name, PolicyOptions(req_key_ttl_ms=100))
    layer.push(req_key="r")
    layer.tick(99)
    assert layer.push(req_key="r").repeated
    layer.tick(1)
    assert layer.policies.stats().req_keys == 0
    assert not layer.push(req_key="r").repeated


def test_they_are_bounded_the_oldest_goes_first_also_after_a_log_is_rewritten(
    core_name: str,
) -> None:
    layer = Layered(core_name, PolicyOptions(req_keys_max=3))
    for key in "abc":
        layer.push(req_key=key)
    kept = [record for record in layer.records if isinstance(record, Kept)]
    others = [record for record in layer.records if record not in kept]
    layer.records = [*others, kept[2], kept[0], kept[1]]
    for each in (layer, layer.restarted()):
        each.push(req_key="d")
        assert each.policies.job_of("q", "a", each.now) is None
        assert each.policies.job_of("q", "b", each.now) == 2
        assert each.policies.stats().req_keys_dropped == 1


def test_they_are_bounded_by_bytes(core_name: str) -> None:
    layer = Layered(core_name, PolicyOptions(req_keys_bytes_max=600))
    for number in range(9):
        layer.push(req_key=f"{number:0200}")
    assert layer.policies.stats().req_keys == 2
    assert layer.policies.job_of("q", f"{8:0200}", layer.now) == 9
