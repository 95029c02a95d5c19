"""Ten thousand crons due in the same second, and what another connection waits meanwhile.

A server with a log holds crons whose next tick is one and the same moment: half of them by
`every`, half by a schedule, in some zones. A process of its own sends a PING every 2 ms and
notes how long each answer takes. `python -m benchmarks.crons_due` prints, for each core,
when the last job was there after that moment, and the longest wait; the control is the wait
before it.
"""

import argparse
import contextlib
import multiprocessing
import tempfile
import time

from benchmarks.pauses import PING, PING_EVERY_S, Line
from benchmarks.processes import cpu_ns, import_sources, server

CRONS = 10_000
AHEAD_S = 4.0
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata")


def pings(port, pid, seconds, results):
    """Note when each PING went out, how long it took, and of that on a CPU."""
    line = Line(port)
    noted = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        wall, used_ns, began = time.time(), cpu_ns(pid), time.monotonic()
        line.sock.sendall(PING)
        line.sock.recv(100)
        took = time.monotonic() - began
        noted.append((wall, took, (cpu_ns(pid) - used_ns) / 1e9))
        time.sleep(PING_EVERY_S)
    results.put(noted)


def set_crons(line, count, due_ms):
    """Set crons whose next tick is that moment, a whole minute."""
    day_ms = 86_400_000
    minute = due_ms // 60_000 % 60
    for start in range(0, count, 500):
        rows = []
        for number in range(start, min(start + 500, count)):
            row = {"cmd": "CRON", "name": f"cron-{number:05}", "queue": f"q{number % 50}"}
            if number % 2:
                row |= {"every": day_ms, "offset": due_ms % day_ms}
            else:
                zone = ZONES[number // 2 % len(ZONES)]
                ticks = (minute + 30) % 60 if zone == "Asia/Kolkata" else minute
                row |= {"schedule": f"{ticks} * * * *", "tz": zone}
            rows.append({**row, "data": {"n": number}})
        for reply in line.ask_all(rows):
            assert reply["next_run"] == due_ms, reply


def measure(core, count, persist):
    """Let them come due; give the last job's lateness, and the waits before and then."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        options = ("--persist", "--data-dir", folder) if persist else ()
        pid, port = stack.enter_context(server(core, *options))
        line = Line(port)
        due_ms = (int(time.time()) // 60 + 1) * 60_000
        began = time.time()
        if due_ms / 1000 - began < AHEAD_S + count / 500:
            due_ms += 60_000
        set_crons(line, count, due_ms)
        setting_s = time.time() - began
        time.sleep(max(0, due_ms / 1000 - AHEAD_S - time.time()))
        results = multiprocessing.Queue()
        asking = multiprocessing.Process(
            target=pings, args=(port, pid, AHEAD_S + 8, results)
        )
        asking.start()
        time.sleep(max(0, due_ms / 1000 - time.time()))
        last_s, cpu_before_ns = None, cpu_ns(pid)
        for _ in range(400):
            if line.ask(cmd="STATS")["cron_fired"] >= count:
                last_s = time.time() - due_ms / 1000
                break
            time.sleep(0.01)
        used_s = (cpu_ns(pid) - cpu_before_ns) / 1e9
        noted = results.get()
        asking.join()
        due_s = due_ms / 1000
        before = [row for row in noted if row[0] < due_s - 0.5]
        then = [row for row in noted if due_s - 0.1 <= row[0] < due_s + (last_s or 9)]
        return setting_s, last_s, used_s, before, then


def longest(rows):
    """Say how long the longest PING took, and the most that the server worked in one."""
    took, worked = (1000 * max(row[at] for row in rows) for at in (1, 2))
    return f"{took:.1f} ms ({worked:.1f} ms of the server's CPU)"


def main():
    """Print a row a core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crons", type=int, default=CRONS)
    parser.add_argument("--core", action="append", choices=["python", "array"])
    parser.add_argument("--no-persist", action="store_true")
    arguments = parser.parse_args()
    import_sources()
    for core in arguments.core or ["python", "array"]:
        setting_s, last_s, used_s, before, then = measure(
            core, arguments.crons, not arguments.no_persist
        )
        print(
            f"{core}: {arguments.crons:,} crons set in {setting_s:.1f} s; the last job"
            f" {1000 * last_s:.0f} ms after they were due, {1000 * used_s:.0f} ms of CPU;"
            f" longest PING"
            f" {longest(then)}; before: {longest(before)}"
        )


if __name__ == "__main__":
    main()
