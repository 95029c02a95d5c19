"""`memory_bytes` tells what the process grows by, within a tenth, whatever fills it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memory.growth import KINDS

QUICK = {
    "python": ("bytes_100", "priorities", "delayed", "leased_each", "dead_unicode"),
    "array": ("bytes_100", "bytes_100000", "priorities", "dead_with_text", "queues"),
}
MIB = 2**20


def assert_the_truth(core_name: str, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("growth.py"), core_name, kind],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    grown, told = map(int, done.stdout.split())
    assert grown > 35 * MIB, f"{grown / MIB:.0f} MiB are too few to measure"
    assert abs(told - grown) <= grown / 10, (
        f"it grew by {grown / MIB:.1f} MiB and tells {told / MIB:.1f}"
    )


@pytest.mark.timeout(360)
@pytest.mark.parametrize("number", range(5))
def test_memory_bytes_is_true(core_name: str, number: int) -> None:
    assert_the_truth(core_name, QUICK[core_name][number])


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize("kind", KINDS)
def test_memory_bytes_is_true_of_all_kinds(core_name: str, kind: str) -> None:
    assert_the_truth(core_name, kind)
