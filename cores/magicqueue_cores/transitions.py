"""The table of states: every move of a job, to which tests and replays hold cores."""

from collections.abc import Iterable
from typing import Final

from magicqueue_cores.contract import LIVE, WAITING, CoreError, JobState
from magicqueue_cores.records import Record

TRANSITIONS: Final[dict[str, tuple[tuple[JobState | None, JobState | None], ...]]] = {
    "push": tuple((None, state) for state in sorted(WAITING)),
    "mature": ((JobState.DELAYED, JobState.READY),),
    "pull": ((JobState.READY, JobState.ACTIVE), (JobState.HELD, JobState.ACTIVE)),
    "heartbeat": ((JobState.ACTIVE, JobState.ACTIVE),),
    "ack": ((JobState.ACTIVE, None), (JobState.READY, None), (JobState.HELD, None)),
    "fail": (
        (JobState.ACTIVE, JobState.READY),
        (JobState.ACTIVE, JobState.DELAYED),
        (JobState.ACTIVE, JobState.DEAD),
    ),
    "lose": (
        (JobState.ACTIVE, JobState.READY),
        (JobState.ACTIVE, JobState.HELD),
        (JobState.ACTIVE, JobState.DEAD),
    ),
    "release": (
        (JobState.ACTIVE, JobState.READY),
        (JobState.ACTIVE, JobState.DELAYED),
        (JobState.ACTIVE, JobState.HELD),
    ),
    "drain": tuple((state, None) for state in sorted(WAITING)),
    "retry_dead": ((JobState.DEAD, JobState.READY),),
    "purge_dead": ((JobState.DEAD, None),),
    "drop_dead": ((JobState.DEAD, None),),
    "remove": tuple((state, None) for state in JobState),
    "bury": tuple((state, JobState.DEAD) for state in sorted(LIVE)),
    "promote": ((JobState.DELAYED, JobState.READY),),
    "replace": (
        (JobState.READY, JobState.READY),
        (JobState.READY, JobState.DELAYED),
        (JobState.DELAYED, JobState.READY),
        (JobState.DELAYED, JobState.DELAYED),
        (JobState.HELD, JobState.HELD),
    ),
    "hold": ((JobState.READY, JobState.HELD),),
    "unhold": ((JobState.HELD, JobState.READY), (JobState.HELD, JobState.DELAYED)),
}
"""Every move a job can make, by the event that makes it; None is "not in the core".

`lose` is a lease that ended or whose session closed. `ack` from READY or HELD is the late
ACK of a job that was lost and not handed out again. `drop_dead` makes room among dead
letters. `remove` is a job that was cancelled or that expired."""

REMOVABLE: Final[dict[str, Iterable[JobState]]] = {
    "drained": WAITING,
    "dropped": (JobState.DEAD,),
    "purged": JobState,
    "cancelled": JobState,
    "expired": JobState,
}
"""The states of jobs that a record may say were removed, by its cause."""


def not_for_a_core(record: Record) -> CoreError:
    """Return what a core raises that is to replay what only policies know of."""
    return CoreError(
        f"a record says {type(record).__name__}, which is for the policies above the core:"
        " replay it there"
    )
