"""What the log costs: pushes with it against pushes without, and how fast it is read back.

Pushes: small jobs in batches of 1,000 over four connections, one request in flight on each,
a fixed number of jobs to a server just started. In memory, everysec and never take turns;
the ratios of each round's speeds are shown by their median, since machines drift.

Reading back: a log of pushes in batches of 1,000; then one where each batch was also
leased, half acknowledged, and half lost; then one of jobs moved to its end, as a log has
them whose old segments were freed. Every checksum is verified. The best of three is shown.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from benchmarks.durable import pushed_in_s, running
from magicqueue_cores import make_core, records
from magicqueue_cores.contract import CoreOptions, NewJobs
from magicqueue_server.wal import checksum
from magicqueue_server.wal.disk import SystemFolder
from magicqueue_server.wal.encode import encode
from magicqueue_server.wal.groups import Group
from magicqueue_server.wal.local_journal import LocalJournal
from magicqueue_server.wal.recovery import recover

MODES = ("memory", "everysec", "never")
PUSHES = {"array": 3_000_000, "python": 600_000}
READS = {"array": 1_000_000, "python": 300_000}
BATCH = 1000
SMALL = b'{"cmd":"PUSHB","queue":"q","jobs":[%b]}\n' % b",".join(
    b'{"data":{"i":%d}}' % (1_000_000 + number) for number in range(BATCH)
)
PAYLOADS = [b'{"to":"someone@example.org","n":%d}' % number for number in range(BATCH)]


def serve(core, mode, folder):
    """Say how a server is started."""
    words = [sys.executable, "-m", "magicqueue_server", "serve", "--port={port}"]
    words += [f"--core={core}", "--log-level=error"]
    if mode != "memory":
        words += ["--persist", f"--fsync={mode}", f"--data-dir={folder}"]
    return words


def pushes(rounds, folder):
    """Give jobs a second by core and mode, one of each a round."""
    speeds = {}
    for _ in range(rounds):
        for core, jobs in PUSHES.items():
            for mode in MODES:
                with running(serve(core, mode, folder), folder) as port:
                    took_s = pushed_in_s(SMALL, port, connections=4, requests=jobs // BATCH)
                speeds.setdefault((core, mode), []).append(jobs / took_s)
    return speeds


def pushed(batch):
    """Tell of one batch."""
    first_id = batch * BATCH + 1
    return records.Pushed(
        "q",
        first_id,
        1000,
        PAYLOADS,
        1000,
        0,
        max_attempts=25,
        backoffs_ms=0,
        jitters=False,
    )


def moved(jobs):
    """Tell all about jobs that wait, batch by batch."""
    core = make_core("python", CoreOptions())
    for _ in range(jobs // BATCH):
        core.push("q", NewJobs(payloads=PAYLOADS, run_ats_ms=1000), 1000)
    for batch in range(jobs // BATCH):
        yield core.export(range(batch * BATCH + 1, (batch + 1) * BATCH + 1))


def histories(jobs):
    """Give what logs are to say, and what was given out before they begin."""
    batches = range(jobs // BATCH)
    yield "pushed", 0, [pushed(batch) for batch in batches]
    whole = [pushed(batch) for batch in batches]
    for batch in batches:
        ids = list(range(batch * BATCH + 1, (batch + 1) * BATCH + 1))
        half = BATCH // 2
        whole += [records.Leased(ids, 1, 99_999), records.Acked(ids[:half])]
        whole += [records.Lost(ids[half:])]
    yield "pushed, leased, acknowledged or lost", 0, whole
    yield "moved to the end", jobs, moved(jobs)


def write_log(folder, told, last_id):
    """Write a log that tells this, a frame each."""
    shutil.rmtree(folder, ignore_errors=True)
    lsns = count(1)
    journal = LocalJournal(
        SystemFolder(folder),
        [],
        lsn=0,
        segment_bytes=64 * 2**20,
        salts=lambda: 7,
        now_ms=lambda: 1,
    )
    journal.begin(last_id, last_id)
    for record in told:
        if isinstance(record, records.Pushed):
            last_id += BATCH
        group = Group(next(lsns), last_id, last_id)
        group.body_bytes = encode(record, group.parts)
        journal.write([group])
    journal.close(clean=True)


def reads(folder):
    """Give jobs a second by core and log."""
    speeds = {}
    for core, jobs in READS.items():
        for name, last_id, told in histories(jobs):
            write_log(folder, told, last_id)
            for _ in range(3):
                filled = make_core(core, CoreOptions())
                begun = time.perf_counter()
                recover(SystemFolder(folder), filled)
                took_s = time.perf_counter() - begun
                speeds[core, name] = max(speeds.get((core, name), 0), jobs / took_s)
                del filled
    return speeds


def main():
    """Run all and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = options.folder / "magicqueue-log-costs"
    written = pushes(options.rounds, folder)
    read = reads(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        table = {" ".join(key): value for key, value in (written | read).items()}
        print(json.dumps(table))
        return
    print("pushes in batches of 1,000, 4 connections")
    for (core, mode), speeds in written.items():
        pairs = zip(speeds, written[core, "memory"], strict=True)
        share = statistics.median(speed / memory for speed, memory in pairs)
        best = statistics.median(speeds)
        print(f"  {core + ' core, ' + mode:<46}{best:>12,.0f} jobs/s {share:>6.0%}")
    print(f"reading a log back, checksums {checksum.name(checksum.PREFERRED)}")
    for (core, name), speed in read.items():
        print(f"  {core + ' core, ' + name:<46}{speed:>12,.0f} jobs/s")


if __name__ == "__main__":
    main()
