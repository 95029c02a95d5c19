"""An HTTP client of a few lines, which can also say what no client should."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Self, TypeAlias

from magicqueue_server.app import App
from patience import PATIENCE_S
from server.running import with_server

JSON_TYPE = "application/json"


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.body)
        return fields


class Http:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, app: App, **more: Any) -> Self:
        if app.http_address.path is not None:
            return cls(*await asyncio.open_unix_connection(app.http_address.path))
        host, port = app.http_address.tcp[0]
        return cls(*await asyncio.open_connection(host, port, limit=2**26, **more))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, data: bytes) -> Self:
        self.writer.write(data)
        return self

    async def answer(self, *, head: bool = False) -> Answer:
        """Read a response."""
        async with asyncio.timeout(PATIENCE_S):
            first = await self.reader.readline()
            found = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [ -~]+\r\n", first)
            assert found is not None, first
            headers: dict[str, str] = {}
            while (line := (await self.reader.readline()).decode().rstrip("\r\n")) != "":
                name, _, value = line.partition(": ")
                assert name.lower() not in headers
                headers[name.lower()] = value
            size = 0 if head else int(headers["content-length"])
            return Answer(int(found[1]), headers, await self.reader.readexactly(size))

    async def ends(self) -> bool:
        """Whether the server closes, with nothing more to say."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    async def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        return await self.send(request(method, path, body, **headers)).answer(
            head=method == "HEAD"
        )

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, None, **headers)

    async def post(self, path: str, fields: Any = None, **headers: str) -> Answer:
        body = fields if isinstance(fields, bytes) else json.dumps(fields or {}).encode()
        return await self.ask("POST", path, body, **headers)


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Write a request; `Content_Type=""` and the like leave a header out."""
    named = {"Host": "localhost"}
    if body is not None:
        named |= {"Content-Type": JSON_TYPE, "Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in named.items() if value]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + (body or b"")


Scenario: TypeAlias = Callable[[App, Http], Awaitable[None]]


async def with_http(scenario: Scenario, options: dict[str, str]) -> None:
    """Run a scenario with one connection to a server that speaks HTTP."""

    async def with_connection(app: App) -> None:
        async with await Http.connect(app) as http:
            await scenario(app, http)

    await with_server(with_connection, {"http": "127.0.0.1:0"} | options)
