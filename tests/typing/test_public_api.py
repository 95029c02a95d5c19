"""pyright, asked what a user's editor knows of the public API: the types of all of it.

`make types` runs it. Classes that are Django's are left out, since Django has no types.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_DJANGOS = ("Type of metaclass unknown", "Type of base class unknown")


@pytest.mark.slow
def test_all_types_are_written_down() -> None:
    if shutil.which("pyright", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("pyright is not installed: make lint installs it")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    command += ["--verifytypes", "magicqueue", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(
        command, cwd=ROOT / "client", capture_output=True, text=True, check=False
    )
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright cannot run here: {done.stdout[-300:]}{done.stderr[-300:]}")
    told = json.loads(done.stdout)["typeCompleteness"]
    assert told["exportedSymbolCounts"]["withKnownType"] > 2000
    problems = [
        f"{symbol['name']}: {said['message']}"
        for symbol in told["symbols"]
        for said in symbol["diagnostics"]
        if said["severity"] == "error"
        and not (
            symbol["name"].startswith("magicqueue.django.") and said["message"] in _DJANGOS
        )
    ]
    assert problems == []
