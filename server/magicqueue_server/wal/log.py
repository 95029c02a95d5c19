"""The log of a running server: from a core's records to replies that may go out.

Records collect in an open *group*, which becomes one frame. When all that could run has
run, the group is closed and written; so commands that come together share a frame and a
sync. Only `flush` closes one, which nothing calls while a command is under way; so of what
belongs together (what a line asks for, with what policies make of it; what kernels did in
one call; a step of time, of leases that end, of a session that closes) a crash leaves all
records or none. What then happens depends on the mode:

- `always`: one thread writes and syncs; meanwhile the next group fills. A reply goes out
  when its group is on the disk.
- `everysec`: the group is written at once, here, which only fills the system's cache, and
  its replies go out; the thread syncs twice a second, also when nothing more is written.
  If the disk cannot keep up, verdicts and pushes wait, so that a power cut never costs
  more than the last second that was promised (two while the disk stalls).
- `never`: the same, with a sync when a segment is full; the system writes when it likes.

**Ids** that may be lost with their pushes in a power cut must not come again: what has an
id beyond those reserved on the disk is not written, nor answered, before more are reserved.

**Full disk**: see `room`. What could not be written stays here, unanswered, until it can.

**Failing disk**: after any other error nothing is written, and nothing that was not safe is
ever answered: whoever waits is hung up on. A sync is not tried again: the kernel forgets
what it could not write. `on_failure` ends the server or leaves it to answer questions.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from magicqueue.errors import RequestError
from magicqueue_cores import records
from magicqueue_cores.line_contract import RecordBytes
from magicqueue_cores.records import sequence_span
from magicqueue_server.logs import event
from magicqueue_server.session import Session
from magicqueue_server.wal.encode import encode
from magicqueue_server.wal.failing import read_only, reason
from magicqueue_server.wal.gate import PROMISE_NOTHING, Gate
from magicqueue_server.wal.groups import NOTED, Group
from magicqueue_server.wal.journal import DiskFull, Journal
from magicqueue_server.wal.room import RETRY_MS, Room
from magicqueue_server.wal.safe_calls import SafeCalls
from magicqueue_server.wal.sync_age import SyncAge
from magicqueue_server.wal.tasks import Tasks

MODES: Final = ("always", "everysec", "never")
GROUP_BYTES_MAX: Final = 4 * 2**20
"""While the disk is busy, a group that has more is closed when all that could run has."""
PENDING_BYTES_MAX: Final = 64 * 2**20
SYNC_EVERY_MS: Final = 500
IDLE_MS: Final = 50

_log = logging.getLogger("magicqueue.wal")


class Log:
    """See above. `begin` comes before the first record; the callbacks may be set by then.

    on_failure: the log has failed, with this error. on_change: `refusal` may be another
    now. on_room: sessions that were stalled may go on. on_written: groups got a segment.
    """

    def __init__(self, tasks: Tasks, mode: str, now_ms: Callable[[], int]) -> None:
        self.journal: Journal
        self.gate = Gate()
        self.count = 0
        """Records so far."""
        self.binding = 0
        """Those of them that somebody is promised."""
        self.last_id = 0
        self.sequence = 0
        self.failure: BaseException | None = None
        self.on_failure: Callable[[BaseException], None] = lambda _: None
        self.on_change: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.on_written: Callable[[Group], None] = lambda _: None
        self._tasks = tasks
        self.room = Room(
            tasks,
            self._lacking,
            lambda: self.on_change(),  # noqa: PLW0108 - it is set later
            self._prepared,
            self.fail,
        )
        self.mode = mode
        """When records are brought to the disk."""
        self._open = Group(1, 0, 0)
        self._closed: list[Group] = []
        self._pending_bytes = 0
        self._written = 0
        self._safe = 0
        self._flush_soon = False
        self._committing = False
        self._syncing = False
        self._sync_due = False
        self._retrying = False
        self._age = SyncAge(now_ms)
        self._calls = SafeCalls()

    def begin(self, journal: Journal, last_id: int, sequence: int) -> None:
        """Write to this journal, behind what was given out before."""
        self.journal = journal
        self.last_id, self.sequence = last_id, sequence
        self._open = Group(1, last_id, sequence)

    @property
    def group(self) -> int:
        """The group that a reply made now has to wait for."""
        return self._open.number if self._open.body_bytes else self._open.number - 1

    @property
    def crowded(self) -> bool:
        """Whether no more commands should run: too much waits, or there may be no room."""
        if not self.room.preparing:  # asked before each line, and nearly always so
            return self._pending_bytes + self.gate.held_bytes > PENDING_BYTES_MAX
        tight = 2 * self.journal.room < self.journal.current.file_bytes
        return self.behind or (tight and not self.journal.has_spare)

    @property
    def behind(self) -> bool:
        """Whether too much waits to be written."""
        return self._pending_bytes + self.gate.held_bytes > PENDING_BYTES_MAX

    def refusal(self, *, push: bool) -> RequestError | None:
        """Why a command that changes something cannot run now, or None."""
        if self.failure is not None:
            return read_only(self.failure)
        return self.room.refusal if push else None

    def record(self, record: records.Record) -> None:
        """Take what a core reports."""
        if self.failure is not None:
            return
        group, kind = self._open, type(record)
        size = encode(record, group.parts)
        group.body_bytes += size
        self._pending_bytes += size
        self.count += 1
        if kind is records.Pushed:
            assert isinstance(record, records.Pushed)
            self.last_id = record.first_id + len(record.payloads) - 1
            self.sequence += sequence_span(record)
            self.binding += 1
        else:
            if kind not in PROMISE_NOTHING:
                self.binding += 1
            if kind in NOTED:
                group.note(record)
                self.sequence += sequence_span(record)
        if not self._flush_soon:
            self._flush_soon = True
            self._tasks.soon(self.flush)

    def record_bytes(self, told: RecordBytes) -> None:
        """Take what a core reports of lines that it ran, as bytes."""
        if self.failure is not None:
            return
        self._open.parts.append(told.data)
        self._open.body_bytes += len(told.data)
        self._pending_bytes += len(told.data)
        self.count += told.count
        self.binding += told.promised
        self.last_id = told.last_id or self.last_id
        self.sequence += told.span
        if not self._flush_soon:
            self._flush_soon = True
            self._tasks.soon(self.flush)

    def record_again(self, known: Iterable[records.Record]) -> None:
        """Take what the log has already, but in a segment that is to go."""
        before = self._open.body_bytes
        for record in known:
            self.record(record)
        self._open.again_bytes += self._open.body_bytes - before

    def depend(self) -> None:
        """What was asked had been done before: the reply waits until that is safe."""
        self.count += 1
        self.binding += 1

    def hold_replies(self, session: Session) -> None:
        """Have what a session writes go out as soon as it may, and no sooner."""
        session.write = lambda reply: self._send(session, reply)
        session.hang_up = lambda: self.gate.hang_up(session)
        self.mark(session)

    def mark(self, session: Session) -> None:
        """Commands of a session begin: its next reply depends on records from here."""
        session.seen_count, session.seen_binding = self.count, self.binding

    def _send(self, session: Session, reply: bytes) -> None:
        new = session.seen_count != self.count
        if self.failure is not None:
            if session.replies_held or new:
                self.gate.silence(session)
            else:
                session.write_now(reply)
        elif not new and not session.replies_held:
            session.write_now(reply)
        else:
            binds = self.mode == "always" or session.seen_binding != self.binding
            self.gate.send(session, reply, self.group, binding=binds)
            self.mark(session)

    def flush(self) -> None:
        """Write what there is, if the disk has time. No command may be under way."""
        self._flush_soon = False
        if self.failure is not None:
            return
        if self._open.body_bytes > (GROUP_BYTES_MAX if self._committing else 0):
            self._close_group()
        if not self._closed or self._retrying or self._committing:
            return
        if self.last_id > self.journal.reserved_id and self.mode != "always":
            self.room.prepare()  # nobody may hear of an id that could be given again
            return
        if self.mode == "always":
            groups, self._closed = self._closed, []
            self._committing = True
            self._tasks.run(
                lambda: self._commit(groups), lambda error: self._committed(groups, error)
            )
        else:
            self._write_here()

    def answers_now(self) -> bool:
        """Write what there is, and say if whoever asked until now may be told at once."""
        if self._open.body_bytes or self._closed:
            self.flush()
        return self.failure is None and self.group <= self._safe and not self.gate

    def when_safe(self, call: Callable[[], None]) -> None:
        """Call once all that was recorded so far is on the disk, in every mode."""
        self.flush()
        self._calls.add(self.group, call)
        if self._calls and self.mode != "always":
            self._sync()

    def prepare(self) -> None:
        """Make the next segment and ids ready, if they are not."""
        self.room.prepare()

    def _prepared(self) -> None:
        """The next segment is there, or has no room."""
        self.flush()
        if not self.crowded:
            self.on_room()

    def _lacking(self) -> Callable[[], None] | None:
        journal, last_id = self.journal, self.last_id
        ready = journal.has_spare and not journal.wants_ids(last_id)
        if self.failure is not None or (ready and not self.room.full):
            return None
        small = self.room.full
        return lambda: journal.prepare(last_id, small=small)

    def _close_group(self) -> None:
        group = self._open
        self._closed.append(group)
        self._open = Group(group.number + 1, self.last_id, self.sequence)

    def _commit(self, groups: list[Group]) -> None:
        """Write and sync; runs on the thread."""
        try:
            self.journal.write(groups)
        except DiskFull:
            if groups[0].segment:
                self.journal.sync()
            raise
        self.journal.sync()

    def _committed(self, groups: list[Group], error: BaseException | None) -> None:
        self._committing = False
        if error is not None and not isinstance(error, DiskFull):
            self.fail(error)
            return
        self._settle(groups, safe=True)
        if error is not None:
            self._closed = [group for group in groups if not group.segment] + self._closed
            self._retry(error)
        elif self._closed or self._open.body_bytes:
            self.flush()
        else:
            self._tasks.later(IDLE_MS, self._mark_if_idle)
        self._calls.tell(self._safe)
        if not self.room.full:
            self.room.prepare()

    def _write_here(self) -> None:
        groups, self._closed = self._closed, []
        self._age.wrote()
        error: DiskFull | None = None
        try:
            self.journal.write(groups)
        except DiskFull as full:
            error = full
        except OSError as failure:
            self.fail(failure)
            return
        late = self.mode == "everysec" and self._age.late
        self._settle(groups, safe=not late)
        if error is not None:
            self._closed = [group for group in groups if not group.segment] + self._closed
            self._retry(error)
        if self.mode == "everysec" and not self._sync_due and not self._syncing:
            self._sync_due = True
            self._tasks.later(SYNC_EVERY_MS, self._sync)
        if not self.room.full:
            self.room.prepare()  # before the sync, which may take long
        if self.mode == "never" and self.journal.names_unsynced:
            self._sync()

    def _settle(self, groups: list[Group], *, safe: bool) -> None:
        """Groups that have a segment are written, and safe if that is so."""
        for group in groups:
            if group.segment:
                self._written = group.number
                self._pending_bytes -= group.body_bytes
                self.on_written(group)
        if safe:
            self._safe = self._written
        self.gate.release(self._written, self._safe)
        if not self.crowded:
            self.on_room()

    def _sync(self) -> None:
        self._sync_due = False
        if self._syncing or self.failure is not None:
            return
        written = self._written
        self._syncing = True
        self._age.begin()

        def done(error: BaseException | None) -> None:
            self._synced(written, error)

        self._tasks.run(self.journal.sync, done)

    def _synced(self, written: int, error: BaseException | None) -> None:
        self._syncing = False
        self._age.end()
        if error is not None:
            self.fail(error)
            return
        self._safe = max(self._safe, written if self._age.late else self._written)
        self.gate.release(self._written, self._safe)
        if not self.crowded:
            self.on_room()
        if self._age.unsafe and self.mode == "everysec":
            self._sync_due = True
            self._tasks.later(0 if self._age.late else SYNC_EVERY_MS, self._sync)
        elif self.mode == "everysec":
            self._mark_if_idle()
        self._calls.tell(written)
        if self._calls:
            self._tasks.later(RETRY_MS if self._closed else 0, self._sync)

    def _mark_if_idle(self) -> None:
        """Say in the log that its last frames are on the disk."""
        busy = self._committing or self._syncing or self._closed or self._open.body_bytes
        if busy or self.failure is not None or self.journal.marked:
            return
        self._syncing = self._committing = True

        def done(error: BaseException | None) -> None:
            self._syncing = self._committing = False
            if error is not None and not isinstance(error, DiskFull):
                self.fail(error)
                return
            self.flush()
            if self._calls and self.mode != "always":
                self._sync()

        self._tasks.run(self.journal.mark_safe, done)

    def _retry(self, error: DiskFull) -> None:
        """Try to write what could not be written when there may be room."""
        self._retrying = True
        self.room.lacks(error)

        def again() -> None:
            self._retrying = False
            self.flush()

        self._tasks.later(RETRY_MS, again)

    def fail(self, error: BaseException) -> None:
        """Write nothing any more: the disk failed with this error."""
        if self.failure is not None:
            return
        self.failure = error
        event(_log, logging.CRITICAL, "the log failed", why=reason(error))
        self.gate.give_up()
        self._closed.clear()
        self.on_change()
        self.on_failure(error)
        self._calls.give_up()
