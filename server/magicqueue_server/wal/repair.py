"""Mending a damaged log by giving up what cannot be used any more.

One damage after the other is mended until the log can be read: it is cut off before the
damage, or begins with the oldest segment that is there, or gets a new manifest. Ids that
may have been given in what is lost are skipped.
"""

import shutil
from pathlib import Path
from typing import Final

import msgspec

from magicqueue_server.randomness import salt
from magicqueue_server.wal import format as fmt
from magicqueue_server.wal import manifest as man
from magicqueue_server.wal.disk import Lock, SystemFolder
from magicqueue_server.wal.local_journal import IDS_AHEAD_MAX, LocalJournal
from magicqueue_server.wal.losses import Losses, losses_behind
from magicqueue_server.wal.recovery import Nothing, recover
from magicqueue_server.wal.scan import Scan
from magicqueue_server.wal.verdict import BEGIN, MANIFEST, Corrupt

_IDS_SHOWN: Final = 20


class Repaired(msgspec.Struct):
    """What a repair did. lost_lsns: (first, last) frame that was there and is not used.

    cut and at: the file that was cut first, and where; the whole file is kept if `at` is
    0 there. damages: what was found, in the order in which it was mended.
    """

    copy: str
    cut: str
    at: int
    lost_lsns: tuple[int, int] | None
    lost_job_ids: list[int]
    lost_jobs: int
    damages: list[str] = []


def repair(path: Path) -> Repaired | None:
    """Mend a damaged log; None if there is nothing to mend.

    The whole folder is copied first, beside it. Raises Locked, Refused for what cannot be
    mended so, or OSError.
    """
    folder = SystemFolder(path, create=False)
    try:
        lock = Lock(path)
        try:
            damage = _damage(folder)
            if damage is None:
                return None
            copy = _copied(path)
            return _mend_all(folder, damage, copy)
        finally:
            lock.release()
    finally:
        folder.close()


def _damage(folder: SystemFolder) -> Corrupt | None:
    try:
        for _ in Scan(folder).frames():
            pass
    except Corrupt as damage:
        return damage
    return None


def _copied(path: Path) -> Path:
    number = 1
    while (copy := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns("lock", "spare-*"))
    return copy


def _mend_all(folder: SystemFolder, first: Corrupt, copy: Path) -> Repaired:
    lost: dict[int, None] = {}
    lsns: list[int] = []
    damages: list[str] = []
    last_id = 0
    damage: Corrupt | None = first
    while damage is not None:
        damages.append(str(damage))
        behind, given_id = _mend(folder, damage)
        lost |= dict.fromkeys(behind.job_ids)
        lsns += behind.lsns or ()
        last_id = max(last_id, given_id, *behind.job_ids, 0)
        damage = _damage(folder)
    _skip_ids(folder, last_id)
    ids = sorted(lost)
    return Repaired(
        copy=str(copy),
        cut=first.name,
        at=first.at,
        lost_lsns=(min(lsns), max(lsns)) if lsns else None,
        lost_job_ids=ids[:_IDS_SHOWN],
        lost_jobs=len(ids),
        damages=damages,
    )


def _mend(folder: SystemFolder, damage: Corrupt) -> tuple[Losses, int]:
    """Mend one damage; gives what is lost, and the last id that may have been given."""
    known = _manifest(folder)
    names = _segments(folder, known.oldest if known is not None else 0)
    headers = [header for number in names if (header := _header(folder, number))]
    given_id = known.reserved_id if known is not None else 0
    given_id = max([given_id, *(max(h.last_id, h.reserved_id) for h in headers)])
    generation = 1 + max(
        [known.generation if known else 0, *(h.generation for h in headers)]
    )
    if damage.mend == MANIFEST:
        new = man.Manifest(oldest=min(names, default=1), newest=max(names, default=0))
        man.make(folder, _of(folder, new, generation))
        return Losses(), given_id + IDS_AHEAD_MAX
    if damage.mend == BEGIN:
        assert known is not None, "only a manifest knows of segments before the first"
        new = msgspec.structs.replace(known, oldest=damage.number, generation=generation)
        man.make(folder, new)
        return Losses(), given_id
    first, at = (damage.number, damage.at) if damage.at else (damage.number + 1, 0)
    lost = losses_behind(lambda n: _read(folder, n), names, first, at, damage.lsn)
    _cut(folder, damage, names)
    if known is not None:
        new = msgspec.structs.replace(
            known,
            ended=True,
            oldest=min(names, default=known.newest + 1),
            newest=max(names, default=known.newest),
            lsn=min(known.lsn, max(0, damage.lsn - 1)),
        )
        man.make(folder, _of(folder, new, generation))
    return lost, given_id


def _cut(folder: SystemFolder, damage: Corrupt, names: dict[int, str]) -> None:
    """Keep segments up to a place of one of them; the others go from `names`, too."""
    for number in sorted(names, reverse=True):
        if number > damage.number:
            folder.remove(names.pop(number))
            folder.sync()
    if damage.number in names and damage.at:
        file = folder.open(names[damage.number], write=True)
        try:
            file.truncate(damage.at)
            file.sync()
        finally:
            file.close()


def _of(folder: SystemFolder, new: man.Manifest, generation: int) -> man.Manifest:
    """Make a manifest fit the newest segment that is there."""
    has = new.oldest <= new.newest and fmt.segment_name(new.newest) in folder.names()
    header = _header(folder, new.newest) if has else None
    return msgspec.structs.replace(
        new,
        generation=generation,
        run=0,
        newest_salt=0 if header is None else header.salt,
    )


def _segments(folder: SystemFolder, oldest: int) -> dict[int, str]:
    found = [(fmt.segment_number(name), name) for name in folder.names()]
    return {
        number: name for number, name in found if number is not None and number >= oldest
    }


def _manifest(folder: SystemFolder) -> man.Manifest | None:
    try:
        read = man.read(folder)
    except man.BadManifest:
        return None
    return None if read is None else read.manifest


def _read(folder: SystemFolder, number: int) -> bytes:
    file = folder.open(fmt.segment_name(number))
    try:
        return file.read(file.size(), 0)
    finally:
        file.close()


def _header(folder: SystemFolder, number: int) -> fmt.Header | None:
    file = folder.open(fmt.segment_name(number))
    try:
        return fmt.read_header(file.read(fmt.FRAMES_AT, 0))
    finally:
        file.close()


def _skip_ids(folder: SystemFolder, last_id: int) -> None:
    """Begin a segment that says that ids up to `last_id` have been given."""
    found = recover(folder, Nothing())
    journal = LocalJournal(
        folder,
        found.segments,
        lsn=found.lsn,
        segment_bytes=2 * fmt.FRAMES_AT,
        salts=salt,
        now_ms=lambda: found.last_ms,
        manifest=found.manifest,
    )
    journal.begin(max(last_id, found.last_id), found.sequence)
    journal.close(clean=True)
