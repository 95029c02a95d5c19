"""What has to be where for a record. The table is the union `records.Record`."""

import re
from typing import Final, get_args

from hacking.checklist import Checklist, text_of
from magicqueue_cores import records
from magicqueue_cores.turns import KIND_OF as TURNS
from magicqueue_server.wal.layouts import KINDS
from wal.golden_log import DAYS

KIND_OF: Final = {kind.__name__: kind for kind in get_args(records.Record)}
OF_RECOVERY: Final = frozenset({"Origin", "Restarted"})
"""What a restart says by itself, and no log holds."""
CORES: Final = (
    "cores/magicqueue_cores/python_replay.py",
    "cores/magicqueue_cores/array_core/replay.py",
)
COURSE: Final = "cores/magicqueue_cores/policies/course.py"


def is_replayed(record: str) -> bool:
    """Whether both cores have a case for it, and policies if cores leave it to them."""
    said = re.compile(rf"records\.{record}\b")
    if not all(said.search(text_of(core)) for core in CORES):
        return False
    left = rf"case [^\n]*records\.{record}\(\)[^\n]*:\s+raise CoreError"
    left_to_policies = re.search(left, text_of(CORES[1])) is not None
    return not left_to_policies or said.search(text_of(COURSE)) is not None


def is_told(record: str) -> bool:
    """Whether the tests of cores, or of policies, look whether it is reported."""
    return (
        re.search(rf"\b{record}\b", text_of("tests/conformance", "tests/policies"))
        is not None
    )


IN_THE_GOLDEN_LOG: Final = frozenset(type(told).__name__ for day in DAYS for told in day)


CHECKLIST: Final = Checklist(
    "A record",
    tuple(KIND_OF),
    (
        KIND_OF.__contains__,
        is_replayed,
        lambda record: KIND_OF.get(record) in KINDS or record in OF_RECOVERY,
        is_told,
        lambda record: record in IN_THE_GOLDEN_LOG or record in OF_RECOVERY,
        lambda record: KIND_OF.get(record) in TURNS,
    ),
)
