"""Ends that are kept: how jobs ended that asked for that."""

from collections.abc import Sequence

import msgspec

from magicqueue_cores.contract import JobState
from magicqueue_cores.policies.answers import END_STATES, Ending
from magicqueue_cores.policies.ground import RESULT, Ground, at_once
from magicqueue_cores.policies.marks import DIED
from magicqueue_cores.policies.wishes import Mark


class _Body(msgspec.Struct, array_like=True):
    """A kept end, as it is written. Later versions add fields at the end, by default."""

    state: int
    finished_at_ms: int
    attempts: int
    queue: str
    result: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


class Endings:
    """Keeps ends as facts, and finds them again."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def get(self, job_id: int, now_ms: int) -> Ending | None:
        """Return the end of a job that is kept."""
        body = self._ground.results.get(_key(job_id), now_ms)
        if body is None:
            return None
        end = _decode(body)
        return Ending(
            job_id,
            END_STATES[end.state],
            end.result,
            end.finished_at_ms,
            end.attempts,
            end.queue,
        )

    def of_dead(self, job_id: int, now_ms: int) -> Ending | None:
        """Return the end of a job if it is dead: such ends are not kept, the job is."""
        view = at_once(self._ground.core.job(job_id, now_ms))
        if view is None or view.state is not JobState.DEAD:
            return None
        return Ending(job_id, "dead", None, view.died_at_ms or 0, view.attempts, view.queue)

    def keep(
        self,
        ended: Sequence[tuple[int, Mark, str]],
        results: dict[int, bytes],
        now_ms: int,
    ) -> None:
        """Keep how jobs ended, of which that is known; dead ones are found as such.

        results: what came of jobs; it is taken from there.
        """
        facts = {}
        for job_id, mark, how in ended:
            if how not in END_STATES or how == DIED:
                continue  # drained, purged and dropped ones leave no trace
            terms = mark.terms
            body = (
                END_STATES.index(how),
                now_ms,
                mark.attempts,
                terms.queue,
                results.pop(job_id, None),
            )
            facts[_key(job_id)] = (now_ms + terms.keep_result_ms, _encode(body))
        if facts:
            self._ground.keep(RESULT, facts)


def _key(job_id: int) -> bytes:
    return b"%d" % job_id
