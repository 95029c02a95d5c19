"""An oracle of events: what becomes of jobs, seen from outside, has to be what is told.

After each command every job is looked up again. What changed since the last look, and what
was asked, says what has to have been told meanwhile; nothing of the server's own records is
used for that.
"""

from collections import Counter
from typing import Any, Final

from policies.wires import Fields, Peer, Wire

KINDS: Final = (
    *("failed", "lost", "dead", "revived", "cancelled"),
    *("expired", "removed", "paused", "cron"),
)
Told = tuple[str, str, int, str | None]
_GONE_BY: Final = {
    "CANCEL": ("cancelled", None),
    "DRAIN": ("removed", "drained"),
    "PURGEDEAD": ("removed", "purged"),
}


class Oracle:
    """A server, one who is told of events, and all jobs as they were at the last look."""

    def __init__(self, wire: Wire, queues: tuple[str, ...] = ("a", "b")) -> None:
        self.wire = wire
        self.queues = queues
        self.listener = wire.peer()
        assert self.listener.ask("SUBSCRIBE", kinds=list(KINDS)) == {"ok": True}
        self.looker = wire.peer()
        self.jobs: dict[int, Fields] = {}
        self.paused: dict[str, bool] = dict.fromkeys(queues, False)
        self.told: list[Told] = []
        self.kinds: Counter[str] = Counter()
        """How often each kind had to be told."""

    def ask(self, peer: Peer, cmd: str, **fields: Any) -> Fields:
        """Have something done, and see that it is told."""
        reply = peer.ask(cmd, **fields)
        self.look(cmd, fields, reply)
        return reply

    def tick(self, span_ms: int) -> None:
        """Let time pass."""
        self.wire.tick(span_ms)
        self.look("", {}, {})

    def close(self, peer: Peer) -> None:
        """End a connection."""
        peer.close()
        self.wire.tick(0)
        self.look("", {}, {})

    def look(self, cmd: str, fields: Fields, reply: Fields) -> None:
        """Compare what has changed with what was told."""
        if cmd == "PUSH" and reply.get("ok"):
            self.jobs[reply["id"]] = self._job(reply["id"]) or {}
        expected: list[Told] = []
        for job_id, before in list(self.jobs.items()):
            after = self._job(job_id)
            for kind, reason in _turns(cmd, before, after):
                expected.append((kind, before["queue"], job_id, reason))
            if after is None:
                del self.jobs[job_id]
            else:
                self.jobs[job_id] = after
        for queue, was in self.paused.items():
            now = bool(self.looker.ask("STATS", queue=queue)["paused"])
            if now != was:
                expected.append(("paused", queue, 0, str(now)))
                self.paused[queue] = now
        told = self._heard()
        self.told += told
        self.kinds.update(kind for kind, *_ in expected)
        assert sorted(told, key=str) == sorted(expected, key=str), (cmd, fields, reply)
        _check_order(told)

    def _job(self, job_id: int) -> Fields | None:
        reply = self.looker.ask("GETJOB", id=job_id)
        job: Fields | None = reply.get("job")
        return job

    def _heard(self) -> list[Told]:
        told: list[Told] = []
        for event in self.listener.heard():
            kind, queue, reason = event["event"], event["queue"], event.get("reason")
            assert event["at"] == self.wire.now
            if kind == "paused":
                told.append((kind, queue, 0, str(event["paused"])))
                continue
            told += [(kind, queue, job_id, reason) for job_id in event["ids"]]
        return told


def _turns(cmd: str, before: Fields, after: Fields | None) -> list[tuple[str, str | None]]:
    """Say what befell a job between two looks."""
    if after is None:
        return _end(cmd, before)
    if before["state"] == "dead" and after["state"] != "dead":
        return [("revived", None)]
    failed = after["failures"] - before["failures"]
    lost = after["lost"] - before["lost"]
    died = after["state"] == "dead" and before["state"] != "dead"
    if died:  # of a failure or a loss, which is its death then and nothing else
        failed -= after["reason"] in {"failed", "timeout"}
        lost -= after["reason"] == "worker_lost"
    came_back: list[tuple[str, str | None]] = [("failed", None)] * failed
    came_back += [("lost", None)] * lost
    return came_back + [("dead", after["reason"])] * died


def _end(cmd: str, before: Fields) -> list[tuple[str, str | None]]:
    """Say how a job ended that is not there any more."""
    if cmd in {"ACK", "ACKB"}:
        return []
    if cmd in _GONE_BY:
        return [_GONE_BY[cmd]]
    if before.get("cancelled"):
        return [("cancelled", None)]
    if before["state"] == "dead":
        return [("removed", "dropped")]
    come_back = {"FAIL": "failed", "": "lost"}.get(cmd)
    if before["state"] == "active" and come_back is not None:
        return [(come_back, None), ("expired", None)]
    return [("expired", None)]


def _check_order(told: list[Told]) -> None:
    """What ends a job comes behind what befell it before."""
    ended: set[int] = set()
    for kind, _, job_id, _ in told:
        assert kind == "paused" or job_id not in ended, f"{kind} behind the end of {job_id}"
        if kind in {"cancelled", "expired", "removed"}:
            ended.add(job_id)
