"""`magicqueue worker --metrics`: what Prometheus is told of a worker's handlers.

One place answers for all processes of a worker: they tell their counts to the process that
started them, every two seconds and when they end.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from typing import Final

from magicqueue.command_line import Failed
from magicqueue.job_times import BOUNDS_S, JobTimes
from magicqueue.wire.limits import PORT_MAX

HERE: Final = "127.0.0.1"
_NAME: Final = "magicqueue_worker_job_duration_seconds"
_KIND: Final = "text/plain; version=0.0.4; charset=utf-8"
_WAIT_S: Final = 5.0


def place_of(text: str) -> tuple[str, int]:
    """Read "9100" or "0.0.0.0:9100". Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > PORT_MAX:
        raise ValueError(
            f"{text!r} is no place to listen: write it as 9100 or 0.0.0.0:9100"
        )
    return host.strip("[]") or HERE, int(port)


class WorkerMetrics:
    """Answers at /metrics, in threads, until `close`. Raises Failed."""

    def __init__(self, place: str) -> None:
        self.tell: Callable[[], tuple[JobTimes, int]] = lambda: (JobTimes(), 0)
        """Gives all that was counted, and how many processes work."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _WAIT_S

            def do_GET(self) -> None:
                """Answer a scrape."""
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(404)
                    return
                body = written(*outer.tell()).encode()
                self.send_response(200)
                self.send_header("Content-Type", _KIND)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing of each scrape."""

        try:
            self._server = ThreadingHTTPServer(place_of(place), Handler)
        except OSError as error:
            raise Failed(
                f"--metrics cannot listen at {place}: {error.strerror or error}", "USAGE", 2
            ) from None
        self._server.daemon_threads = True
        self.port: Final = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="magicqueue-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def written(times: JobTimes, processes: int) -> str:
    """Write all of it in Prometheus's text format."""
    lines = [
        "# HELP magicqueue_worker_processes Processes that run handlers.",
        "# TYPE magicqueue_worker_processes gauge",
        f"magicqueue_worker_processes {processes}",
        f"# HELP {_NAME} How long handlers ran.",
        f"# TYPE {_NAME} histogram",
    ]
    for (queue, task, outcome), (counts, total_s) in sorted(times.cells().items()):
        labels = f'queue="{_escaped(queue)}",task="{_escaped(task)}",outcome="{outcome}"'
        sums = list(accumulate(counts))
        for bound, number in zip((*map(str, BOUNDS_S), "+Inf"), sums, strict=True):
            lines.append(f'{_NAME}_bucket{{{labels},le="{bound}"}} {number}')
        lines += [
            f"{_NAME}_sum{{{labels}}} {total_s}",
            f"{_NAME}_count{{{labels}}} {sums[-1]}",
        ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
