"""The executable in the place of the server in a test's own event loop.

`make test-dist` has scenarios run against it. They get its address, and may stop it; those
that look inside the server are marked, and skipped.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from magicqueue_server.listening import Address, StartError
from server.process import ServerProcess


class ExecutableApp:
    """What scenarios use of an `App`."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._is_stopping = False
        self.address = _address(server.place)

    def stop(self) -> None:
        """Stop it in good order; once more changes nothing."""
        if not self._is_stopping:
            self._is_stopping = True
            self._server.process.send_signal(signal.SIGTERM)


def _address(place: str) -> Address:
    if place.startswith("unix:"):
        return Address(path=Path(place.removeprefix("unix:")))
    pairs = (address.rsplit(":", 1) for address in place.split(" and "))
    return Address(tcp=tuple((host.strip("[]"), int(port)) for host, port in pairs))


@asynccontextmanager
async def executable_app(options: dict[str, str]) -> AsyncIterator[ExecutableApp]:
    """Run the executable; raises StartError, as the server does, and fails on warnings."""
    flags = [f"--{name.replace('_', '-')}={text}" for name, text in options.items()]
    try:
        server = ServerProcess(*flags)
    except AssertionError as error:
        raise StartError(str(error).removeprefix("magicqueue serve: ").strip()) from None
    with server:
        app = ExecutableApp(server)
        try:
            yield app
        finally:
            app.stop()
        code, logged = server.wait()
    assert code == 0
    assert not [line for line in logged.splitlines() if " warning " in line]
    assert "Traceback" not in logged
