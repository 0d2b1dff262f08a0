import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tests.waiting import PATIENCE


class UpstreamLog:
    """The calls of a simulator's chat models since this log was opened. `log` reads its entries of one kind."""

    def __init__(self, log: Callable[[str], list[dict[str, Any]]]) -> None:
        self._log = log
        self._since = max((entry["seq"] for entry in log("chat")), default=0)

    def calls(self, *models: str) -> list[dict[str, Any]]:
        """The calls of these models, or of all, in their order."""
        entries = [entry for entry in self._log("chat") if entry["seq"] > self._since]
        return [entry for entry in entries if not models or entry["model"] in models]

    def requests(self, *models: str) -> list[dict[str, Any]]:
        """The bodies of the calls."""
        return [entry["request"] for entry in self.calls(*models)]

    def the_request(self) -> dict[str, Any]:
        """The body of the only call."""
        (request,) = self.requests()
        return request

    async def begun(self, count: int = 1) -> None:
        """Wait until there have been `count` calls."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if len(self.calls()) >= count:
                    return
                await asyncio.sleep(0.02)

    async def ended(self, *models: str, count: int = 1) -> Sequence[dict[str, Any]]:
        """Wait until `count` calls have ended. Returns the ended ones."""
        async with asyncio.timeout(PATIENCE):
            while True:
                over = [entry for entry in self.calls(*models) if entry["outcome"]]
                if len(over) >= count:
                    return over
                await asyncio.sleep(0.02)
