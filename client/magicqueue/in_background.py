"""What works in the background of asyncio code, as long as an `async with`."""

from types import TracebackType
from typing import Self


class InBackground:
    """A worker: `start` and `stop` it, or say `async with`."""

    async def start(self) -> None:
        """Begin to work in the background, until `stop`."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Finish what is under way, and end."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
