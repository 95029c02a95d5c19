"""What the python core keeps of jobs that left: the dict of all jobs, and how it shrinks.

The jobs themselves, their payloads and their places go back to Python's allocator at once,
and from there to the system as soon as an arena of it is empty. A dict that only loses
entries keeps its size.
"""

from typing import Final

from magicqueue_cores.python_job import Job

_ENTRY_BYTES: Final = 100
"""More than an entry of the dict takes."""
_SPARE_SHARE: Final = 0.9


def spare_bytes(jobs: dict[int, Job]) -> int:
    """What the dict keeps for jobs that left, if these are nearly all. O(1)."""
    size = jobs.__sizeof__()
    spare = size - len(jobs) * _ENTRY_BYTES
    return spare if spare > _SPARE_SHARE * size else 0


def trim(jobs: dict[int, Job]) -> None:
    """Make the dict as small as its entries need, if that is far smaller. O(jobs)."""
    if spare_bytes(jobs):
        here = dict(jobs)
        jobs.clear()
        jobs.update(here)
