"""How long a log takes to read back, and clients are without an answer in a fail-over."""

import json
import socket
import subprocess
import threading
import time

from benchmarks.cluster_servers import THREE, durability, started
from benchmarks.processes import end, environment, free_port, serve_command, start

BATCH = 5000
PATIENCE_S = 120
PAUSE_S = 0.005


def fill(port, jobs):
    """Push live jobs, and leave them there."""
    line = ",".join(f'{{"data":{{"i":{number}}}}}' for number in range(BATCH))
    request = f'{{"cmd":"PUSHB","queue":"live","jobs":[{line}]}}\n'.encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        replies = connection.makefile("rb")
        for _ in range(-(-jobs // BATCH)):
            connection.sendall(request)
            if not json.loads(replies.readline())["ok"]:
                raise RuntimeError("a push was refused")


def answers(port, silence_s=1.0):
    """Push one job; tells whether that was answered."""
    try:
        with socket.create_connection(("127.0.0.1", port), silence_s) as connection:
            connection.sendall(b'{"cmd":"PUSH","queue":"after","data":1}\n')
            return connection.makefile("rb").readline().startswith(b'{"ok":true')
    except OSError:
        return False


def answered_after_s(port, since, silence_s=1.0):
    """Push until that is answered; gives how long after a moment that was."""
    while not answers(port, silence_s):
        if time.perf_counter() - since > PATIENCE_S:
            raise TimeoutError(f"nothing was answered for {PATIENCE_S} s")
        time.sleep(PAUSE_S)
    return time.perf_counter() - since


def recovery_s(core, options, jobs):
    """Fill a log, kill its server, and start another; gives how long that takes.

    Of that, the lease of the one that was killed is no part: it is made short.
    """
    lease = ["--log-lease=100ms"]
    process, port = started(core, [*options, *lease])
    fill(port, jobs)
    process.kill()
    process.wait()
    process.stdout.close()
    time.sleep(0.2)
    began = time.perf_counter()
    process, port = started(core, [*options, *lease])
    took_s = answered_after_s(port, began)
    end(process)
    return took_s


def owner_lost_s(core, options, jobs):
    """Kill an owner while another server stands by; gives how long nobody answers."""
    owner, port = started(core, options)
    fill(port, jobs)
    other = free_port()
    command = serve_command(core, *options, "--log-level=error")
    command[command.index("--port") + 1] = str(other)
    waiting = start(
        command,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(3)  # until it stands by
        began = time.perf_counter()
        owner.kill()
        return answered_after_s(other, began)
    finally:
        owner.wait()
        owner.stdout.close()
        end(waiting)


def primary_lost_s(core, cluster, jobs):
    """Kill the primary and promote a standby: gives the silence from then, and in all.

    The cluster is of no use afterwards, so it is one of its own.
    """
    from magicqueue_server.wal.postgres_schema import make_tables  # noqa: PLC0415

    address = cluster.new_database("killed")
    make_tables(address)
    process, port = started(core, [f"--log={address}", *durability(THREE)])
    try:
        fill(port, jobs)
        promoted = []
        began = time.perf_counter()

        def fail_over():
            cluster.fail_over()
            promoted.append(time.perf_counter())

        thread = threading.Thread(target=fail_over)
        thread.start()
        time.sleep(PAUSE_S)
        all_s = answered_after_s(port, began, PATIENCE_S)
        thread.join()
        return max(0.0, began + all_s - promoted[0]), all_s
    finally:
        end(process)
