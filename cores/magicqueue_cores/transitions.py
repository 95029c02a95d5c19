"""The table of states: every move of a job, to which tests and replays hold cores."""

from collections.abc import Iterable
from itertools import product
from typing import Final

from magicqueue_cores.contract import LIVE, WAITING, JobState

TRANSITIONS: Final[dict[str, tuple[tuple[JobState | None, JobState | None], ...]]] = {
    "push": ((None, JobState.READY), (None, JobState.DELAYED)),
    "mature": ((JobState.DELAYED, JobState.READY),),
    "pull": ((JobState.READY, JobState.ACTIVE),),
    "heartbeat": ((JobState.ACTIVE, JobState.ACTIVE),),
    "ack": ((JobState.ACTIVE, None), (JobState.READY, None)),
    "fail": (
        (JobState.ACTIVE, JobState.READY),
        (JobState.ACTIVE, JobState.DELAYED),
        (JobState.ACTIVE, JobState.DEAD),
    ),
    "lose": ((JobState.ACTIVE, JobState.READY), (JobState.ACTIVE, JobState.DEAD)),
    "release": ((JobState.ACTIVE, JobState.READY), (JobState.ACTIVE, JobState.DELAYED)),
    "drain": ((JobState.READY, None), (JobState.DELAYED, None)),
    "retry_dead": ((JobState.DEAD, JobState.READY),),
    "purge_dead": ((JobState.DEAD, None),),
    "drop_dead": ((JobState.DEAD, None),),
    "remove": tuple((state, None) for state in JobState),
    "bury": tuple((state, JobState.DEAD) for state in sorted(LIVE)),
    "promote": ((JobState.DELAYED, JobState.READY),),
    "replace": tuple(product(sorted(WAITING), sorted(WAITING))),
}
"""Every move a job can make, by the event that makes it; None is "not in the core".

`lose` is a lease that ended or whose session closed. `ack` from READY is the late ACK of
a job that was lost and not handed out again. `drop_dead` makes room among dead letters.
`remove` is a job that was cancelled or that expired."""

REMOVABLE: Final[dict[str, Iterable[JobState]]] = {
    "drained": WAITING,
    "dropped": (JobState.DEAD,),
    "purged": JobState,
    "cancelled": JobState,
    "expired": JobState,
}
"""The states of jobs that a record may say were removed, by its cause."""
