"""What `magicqueue serve` is told of policies holds: a server each, asked over a socket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from magicqueue_server.app import App
from patience import PATIENCE_S
from server.running import Peer, with_server


async def ask(peer: Peer, cmd: str, **fields: Any) -> Any:
    return await peer.ask(msgspec.json.encode({"cmd": cmd, **fields}))


async def done(peer: Peer, result: str) -> tuple[int, Any]:
    """Push a job whose end is kept, and settle it; return its id and the reply."""
    await ask(peer, "PUSH", queue="q", data=1, keep_result=3_600_000)
    job = (await ask(peer, "PULL", queue="q"))["job"]
    return job["id"], await ask(peer, "ACK", id=job["id"], result=result)


async def state_of(peer: Peer, job_id: int) -> str:
    reply = await ask(peer, "GETJOB", id=job_id)
    state: str = reply["job"]["state"] if reply["ok"] else reply["code"]
    return state


def run(scenario: Callable[[Peer], Awaitable[None]], **options: str) -> None:
    async def connected(app: App) -> None:
        peer = await Peer.connect(app)
        await scenario(peer)
        await peer.close()

    asyncio.run(with_server(connected, {"core": "python", **options}))


def test_request_keys_are_known_for_req_key_ttl() -> None:
    async def scenario(peer: Peer) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await ask(peer, "PUSH", queue="q", data=1, req_key="r")
            while (await ask(peer, "GETJOB", queue="q", req_key="r"))["ok"]:
                pass
            again = await ask(peer, "PUSH", queue="q", data=1, req_key="r")
            assert (again["id"], again.get("repeated")) == (2, None)

    run(scenario, req_key_ttl="20ms")


def test_so_many_request_keys_and_windows_are_known() -> None:
    async def scenario(peer: Peer) -> None:
        for key in ("a", "b", "c"):
            fields = {"unique_key": key, "unique_for": 3_600_000, "req_key": key}
            await ask(peer, "PUSH", queue="q", data=1, **fields)
        for key, known in (("c", True), ("b", True), ("a", False)):
            repeat = await ask(peer, "GETJOB", queue="q", req_key=key)
            again = await ask(peer, "PUSH", queue="q", data=1, unique_key=key)
            assert (repeat["ok"], again.get("duplicate", False)) == (known, known)

    run(scenario, max_windows="2", req_keys="2")


def test_results_are_bounded_one_by_one_by_number_and_by_memory() -> None:
    async def one_by_one(peer: Peer) -> None:
        assert (await done(peer, "x" * 8))[1]["ok"]
        assert (await done(peer, "x" * 9))[1]["code"] == "TOO_LARGE"

    run(one_by_one, max_result="10")

    async def all_together(peer: Peer) -> None:
        ids = [(await done(peer, "x" * 400))[0] for _ in range(3)]
        assert [await state_of(peer, job_id) for job_id in ids] == [
            *("NOT_FOUND", "done", "done")
        ]

    run(all_together, max_results="2")
    run(all_together, max_results_memory="1100")
