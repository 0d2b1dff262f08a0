"""`junis serve` with a meter of its event loop at `/_lag`: what ran longest without letting another task run."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import typer

from app.asgi import app
from app.cli.serve import serve

_TICK_SECONDS = 0.002
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Meter:
    """Looks at the loop's processor time whenever it gets to run, and answers for its path before the application."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Awaitable[Any]], send: Send) -> None:
        if scope.get("path") == "/_lag":
            await self._show(send)
        else:
            await self._app(scope, receive, send)

    async def _show(self, send: Send) -> None:
        """The longest stretch since the last call, and all that the loop has used, both in seconds."""
        if self._task is None:
            self._task = asyncio.create_task(self._look())
        content = json.dumps({"longest": self._longest, "used": time.thread_time()}).encode()
        self._longest = 0.0
        length = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": content})

    async def _look(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.thread_time()
            self._longest = max(self._longest, now - last)
            last = now


if __name__ == "__main__":
    app.add_middleware(Meter)
    typer.run(serve)
