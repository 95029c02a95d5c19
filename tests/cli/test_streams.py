"""Commands whose standard streams were closed, or cannot be written."""

import subprocess

import pytest

from cli.terminal import MAGICQUEUE, environment, no_traceback
from patience import PATIENCE_S


def _shell(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", *MAGICQUEUE, *arguments],
        env=environment(MAGICQUEUE_URL="localhost:1"),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    no_traceback(done.stderr)
    return done


@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")],
)
def test_an_output_that_is_lost_is_a_failure(redirection: str, why: str) -> None:
    done = _shell(redirection, "--version")
    assert done.returncode == 1
    assert done.stderr == f"magicqueue: standard output cannot be written: {why}\n"


@pytest.mark.parametrize("arguments", [("--version",), ("serve", "--print-config")])
def test_a_closed_error_stream_hurts_nobody(arguments: tuple[str, ...]) -> None:
    done = _shell("2>&- <&-", *arguments)
    assert done.returncode == 0
    assert done.stdout


def test_where_nobody_can_be_told_the_exit_code_tells() -> None:
    assert _shell("<&- >&- 2>&-", "ping").returncode == 3
