"""Servers without sockets or clocks to try policies on, with and without a log."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from magicqueue_cores.array_core import ArrayCore
from magicqueue_cores.policies import PolicyOptions
from magicqueue_cores.python_core import PythonCore
from magicqueue_server.engine import Engine
from server.desk import Caller, Desk
from wal.memory_disk import MemoryFolder
from wal.simulated import Client, Server

Fields = dict[str, Any]


class Peer(Protocol):
    """A connection. Replies are read as JSON."""

    def ask(self, cmd: str, **fields: Any) -> Fields:
        """Send a request and give its reply, which has to come at once."""
        ...

    def send(self, cmd: str, **fields: Any) -> None:
        """Send a request whose reply may come later."""
        ...

    def send_all(self, *lines: tuple[str, Fields]) -> None:
        """Send several requests in one piece."""
        ...

    def heard(self) -> list[Fields]:
        """Give the replies since the last call."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Wire(Protocol):
    """A server, and its time."""

    @property
    def restart(self) -> Callable[[], None] | None:
        """Kills it and starts another one from its log, if it has one."""
        ...

    @property
    def now(self) -> int:
        """The time in milliseconds."""
        ...

    @property
    def engine(self) -> Engine:
        """What is asked."""
        ...

    def peer(self) -> Peer:
        """Connect."""
        ...

    def tick(self, span_ms: int) -> None:
        """Turn the clock forward."""
        ...

    def check(self) -> None:
        """Have the server verify itself."""
        ...


def _line(cmd: str, fields: Fields) -> bytes:
    return msgspec.json.encode({"cmd": cmd, **fields})


class DeskPeer:
    """A connection to a server that keeps no log."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.close = caller.close

    def ask(self, cmd: str, **fields: Any) -> Fields:
        (reply,) = self.caller.ask(_line(cmd, fields))
        told: Fields = msgspec.json.decode(reply)
        return told

    def send(self, cmd: str, **fields: Any) -> None:
        self.caller.send(_line(cmd, fields))

    def send_all(self, *lines: tuple[str, Fields]) -> None:
        self.caller.send(*(_line(cmd, fields) for cmd, fields in lines))

    def heard(self) -> list[Fields]:
        return [msgspec.json.decode(reply) for reply in self.caller.heard()]


class DeskWire:
    """A server that keeps no log."""

    def __init__(self, core: str, options: PolicyOptions) -> None:
        kind = {"python": PythonCore, "array": ArrayCore}[core]
        self.desk = Desk(core=kind, policy_options=options)
        self.restart: Callable[[], None] | None = None

    @property
    def now(self) -> int:
        return self.desk.now

    @property
    def engine(self) -> Engine:
        return self.desk.engine

    def peer(self) -> Peer:
        return DeskPeer(self.desk.caller())

    def tick(self, span_ms: int) -> None:
        self.desk.tick(span_ms)

    def check(self) -> None:
        self.desk.engine.core.check()
        assert self.desk.engine.policies is not None
        self.desk.engine.policies.check()


class LogPeer:
    """A connection to a server with a log."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.close = client.close
        self._at = 0

    def ask(self, cmd: str, **fields: Any) -> Fields:
        self.send(cmd, **fields)
        (reply,) = self.heard()
        return reply

    def send(self, cmd: str, **fields: Any) -> None:
        self.client.send({"cmd": cmd, **fields})
        self.client.server.pump()

    def send_all(self, *lines: tuple[str, Fields]) -> None:
        self.client.send(*({"cmd": cmd, **fields} for cmd, fields in lines))
        self.client.server.pump()

    def heard(self) -> list[Fields]:
        self.client.server.pump()
        told, self._at = self.client.replies[self._at :], len(self.client.replies)
        return told


class LogWire:
    """A server with a log, which `restart` kills."""

    def __init__(self, core: str, options: PolicyOptions) -> None:
        self._core = core
        self._options = options
        self.server = Server(MemoryFolder(), core=core, policy_options=options)
        self.restart: Callable[[], None] | None = self._restart

    @property
    def now(self) -> int:
        return self.server.now

    @property
    def engine(self) -> Engine:
        return self.server.engine

    def peer(self) -> Peer:
        return LogPeer(self.server.client())

    def tick(self, span_ms: int) -> None:
        self.server.tick(span_ms)

    def check(self) -> None:
        self.server.engine.core.check()
        assert self.server.engine.policies is not None
        self.server.engine.policies.check()

    def _restart(self) -> None:
        folder, now = self.server.folder.after_kill(), self.server.now
        self.server = Server(folder, core=self._core, now=now, policy_options=self._options)
        self.check()
