"""`junis serve` with a meter of its event loop at `/_lag`: what ran longest without letting another task run."""

import asyncio
import time

import typer
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.asgi import app
from app.cli.serve import serve

_TICK_SECONDS = 0.002


class Meter:
    """Looks at the loop's processor time whenever it gets to run."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def show(self, _request: Request) -> JSONResponse:
        """The longest stretch since the last call, and all that the loop has used, both in seconds."""
        if self._task is None:
            self._task = asyncio.create_task(self._look())
        shown = {"longest": self._longest, "used": time.thread_time()}
        self._longest = 0.0
        return JSONResponse(shown)

    async def _look(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.thread_time()
            self._longest = max(self._longest, now - last)
            last = now


if __name__ == "__main__":
    app.add_route("/_lag", Meter().show)
    typer.run(serve)
