"""The README's program runs, against a real server, until it is told to stop."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from docs.pages import DOCS
from magicqueue_server.testing import ServerProcess
from patience import PATIENCE_S

_JOBS = 1001


def test_its_program_does_what_it_says(tmp_path: Path) -> None:
    text = (DOCS.parent / "README.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "emails.py").write_text(program)
    with (
        ServerProcess() as server,
        subprocess.Popen(
            [sys.executable, "emails.py"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "MAGICQUEUE_URL": server.url,
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
        ) as process,
    ):
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(_JOBS)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert said[0] == "sending to ada@example.org\n"
    assert len(set(said)) == _JOBS
    assert all(re.fullmatch(r"sending to \w+@example\.org\n", line) for line in said)
