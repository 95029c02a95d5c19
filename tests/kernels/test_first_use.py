"""A core that was made needs nothing more from the disk: no import, no open file."""

import os
import subprocess
import sys

from conformance.driver import require_core
from patience import PATIENCE_S

_PROGRAM = """
import resource, sys
from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.contract import CoreOptions, NewJobs

core = ArrayCore(CoreOptions(), record=lambda record: None)
loaded = set(sys.modules)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
try:
    open(sys.executable)
except OSError as error:
    print("no files:", error.strerror)
core.push("q", NewJobs(payloads=[b"0"], run_ats_ms=5000), 5)
lines = (
    b'{"cmd":"PUSH","queue":"q","data":1}',
    b'{"cmd":"PUSHB","queue":"q","jobs":[{"data":"2"},{"data":3,"delay":10}]}',
    b'{"cmd":"PULLB","queue":"q","count":1}',
    b'{"cmd":"PULL","queue":"q"}',
    b'{"cmd":"FAIL","id":2,"error":"why"}',
    b'{"cmd":"HEARTBEAT","ids":[3]}',
    b'{"cmd":"ACKB","ids":[3]}',
)
text = b"".join(line + b"\\n" for line in lines)
consumed, replies = core.execute(text, 1, 5)
print(consumed == len(text), replies.count(b'"ok":true'))
core.advance(20)
print(core.drain("q", 20).count, sorted(set(sys.modules) - loaded))
"""


def test_nothing_is_loaded_at_first_use() -> None:
    require_core("array")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.splitlines() == [
        "no files: Too many open files",
        "True 7",
        "3 []",
    ]
