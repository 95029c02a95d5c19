"""The rows of what users see: the C programs, the cases at a tiny size, the judgement."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"
)


@pytest.fixture(autouse=True)
def _these_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers run these sources."""
    sources = (str(ROOT / room) for room in ("client", "cores", "server"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sources))


def received(sock: socket.socket, size_bytes: int) -> bytes:
    reply = b""
    while len(reply) < size_bytes:
        reply += sock.recv(size_bytes - len(reply))
    return reply


@pytest.mark.parametrize("piece_bytes", [1, 3, 100])
def test_the_floor_answers_each_line_in_any_pieces(load: Load, piece_bytes: int) -> None:
    replies = {b"PUSH": b"pushed\n", b"PULL": b"a longer reply\n"}
    sent, wanted = b"PUSH 1\nPULL\nPUSH 22\nPULL 3\n", (b"pushed\na longer reply\n") * 2
    with (
        load("native").floor(replies) as (_, port),
        socket.create_connection(("127.0.0.1", port)) as sock,
    ):
        for at in range(0, len(sent), piece_bytes):
            sock.sendall(sent[at : at + piece_bytes])
        assert received(sock, len(wanted)) == wanted


def test_the_generator_hands_ids_on(load: Load) -> None:
    native = load("native")
    taken = b'{"jobs":[{"id":12,"x":1},{"id":345,"x":1}]}\n'
    steps = [
        native.Step(b"take,\n", 1, b'"id":', 5),
        native.Step(b"settle,\x02:\x01;\n", 2),
    ]
    replies = {b"take,": taken, b"settle,6:12,345;": b"ok\nok\n"}
    with native.floor(replies) as (pid, port):
        found = native.drive(("cycles", port, 3, 0, 60, 40), steps, pid)
    assert found["cycles"] == 40
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["p999_us"]
    assert found["seconds"] * 1e6 >= found["p999_us"]


def test_a_refusal_ends_the_generator(load: Load) -> None:
    native = load("native")
    with (
        native.floor({b"x": b'{"ok":false,"error":"no"}\n'}) as (_, port),
        pytest.raises(RuntimeError, match="ended early"),
    ):
        native.drive(("cycles", port, 1, 0, 60, 5), [native.Step(b"x,\n")])


def test_each_case_has_figures(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    users, names = load("users"), load("user_cases")
    known = (names.FLOOR, names.ARRAY, names.EVERYSEC, names.APPEND, names.OURS)
    ours = {
        key: replace(case, servers=[name for name in case.servers if name in known])
        for key, case in names.CASES.items()
    }
    monkeypatch.setattr(names, "CASES", ours)
    monkeypatch.setattr(users, "USERS_FILE", tmp_path / "users.json")
    users.main(["--no-pauses", f"--folder={tmp_path}"])
    stored = json.loads((tmp_path / "users.json").read_text())
    figures = stored["figures"]
    assert {key: list(found) for key, found in figures.items()} == {
        key: case.servers for key, case in ours.items()
    }
    assert all(
        found["per_s"] > 0
        for key, servers in figures.items()
        for found in servers.values()
        if key != "memory"
    )
    judged = [target for target in stored["targets"] if target["met"] is not None]
    assert judged
    assert len(stored["targets"]) == len(names.TARGETS)
    assert [path.name for path in tmp_path.iterdir()] == ["users.json"]


def test_a_ratio_is_the_median_of_the_rounds(load: Load) -> None:
    users, names = load("users"), load("user_cases")
    runs = {
        ("push_64", names.ARRAY): [{"cpu_us": 8.0, "per_s": 70.0}] * 3,
        ("push_64", names.PYTHON): [{"cpu_us": 30.0, "per_s": 20.0}] * 3,
        ("push_64", names.FLOOR): [
            {"cpu_us": cpu_us, "per_s": 100.0} for cpu_us in (1.0, 8.0, 10.0)
        ],
    }
    lacking = {("push_64", names.REDIS_ALWAYS): "redis-server is not installed"}
    outcomes = {
        (outcome.what.partition(": ")[2], outcome.measured): outcome.met
        for outcome in users.judge(runs, lacking)
    }
    assert outcomes == {
        ("array, server CPU", "1.00 [0.80-8.00]"): True,
        ("array, throughput", "0.70 [0.70-0.70]"): False,
        ("python, server CPU", "3.75 [3.00-30.00]"): False,
        ("array everysec, server CPU", "-"): None,
        ("array always, throughput", "redis-server is not installed"): None,
    }


def test_a_peer_that_is_not_installed_is_told(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = load("user_cases")
    servers = load("user_servers").Servers(None, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servers.missing(names.BEANSTALKD) == "beanstalkd is not installed"
    assert servers.missing(names.STREAMS) == "redis-server is not installed"
    assert "is not installed" in servers.missing(names.GREENSTALK)
    assert servers.missing(names.ARRAY) is None


def test_the_pauses_have_targets(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    user_pauses = load("user_pauses")
    cells = {"p50": 0.1, "p99": 0.2, "p99.9": 9.0, "worst": 30.0}
    monkeypatch.setattr(user_pauses.pauses, "measure", lambda *_: {"DRAIN": cells})
    assert [outcome.met for outcome in user_pauses.measure_pauses()] == [False, True]


def test_the_page_shows_figures_and_targets(load: Load) -> None:
    figures = {
        "push_64": {
            "array": {"per_s": 70_000.0, "cpu_us": 8.25, "p50_us": 600.0},
            "Redis always": "redis-server is not installed",
        },
        "take_50_1": {"array": {"per_s": 1e6, "cpu_us": 0.25}},
        "memory": {"array": {"peak_mb": 700.0, "after_mb": 250.0, "kept": 0.2}},
    }
    target = {"what": "a", "target": "at most 1", "measured": "2", "met": False}
    stored = {"machine": "m", "rounds": 3, "figures": figures, "targets": [target]}
    text = load("page").users_part(stored)
    assert "| a | at most 1 | 2 | **no** |" in text
    assert "| array | 70,000 | 8.2 us | 600 us | - | - |" in text
    assert "| Redis always | redis-server is not installed | - | - | - | - |" in text
    assert "| array | 1,000,000 | 250 ns | - | - | - |" in text
    assert "| array | 700 MB, then 250 | - | - | - | - |" in text
