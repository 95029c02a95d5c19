"""What cores do for rules that they do not know: a queue that has some stays known."""

import pytest

from conformance.driver import answered, require_core
from magicqueue_cores import make_core
from magicqueue_cores.contract import CoreOptions, Full


def test_a_ruled_queue_is_known_and_takes_a_place(core_name: str) -> None:
    require_core(core_name)
    core = make_core(core_name, CoreOptions(queues_max=1))
    core.refuse_queue("a")
    assert answered(core.stats(0)).queues == 0, "asking makes none"
    core.rule("a", ruled=True)
    assert answered(core.stats(0)).queues == 1
    core.refuse_queue("a")
    with pytest.raises(Full):
        core.refuse_queue("b")
    core.check()
