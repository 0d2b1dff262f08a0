"""`junis serve` that counts how often work is handed to another thread: the count is at `/_hops`.

Whatever hands work to threads puts it into a queue that they wait at, so what is counted is each time that a thread
other than the main one has taken something from a queue. `/_hops/probe` hands over two pieces of work itself.
"""

import asyncio
import json
import queue
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import anyio.to_thread
import typer

from app.cli.serve import serve

PATH, PROBE = "/_hops", "/_hops/probe"
PROBED = 2
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Hops:
    """Counts in every thread that starts after it was installed."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Count from now on."""
        threading.setprofile(self._look)

    def _look(self, frame: FrameType, event: str, argument: object) -> None:
        # `SimpleQueue.get` is written in C, `Queue.get` in Python.
        is_taken = event == "return" and frame.f_code is queue.Queue.get.__code__
        if is_taken or (event == "c_return" and isinstance(getattr(argument, "__self__", None), queue.SimpleQueue)):
            with self._lock:
                self.count += 1


class CountingApp:
    """Answers for its paths before the application."""

    def __init__(self, app: Callable[..., Awaitable[None]], hops: Hops) -> None:
        self._app = app
        self._hops = hops

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Awaitable[Any]], send: Send) -> None:
        if scope.get("path") == PROBE:
            await asyncio.to_thread(str)
            await anyio.to_thread.run_sync(str)
        if scope.get("path") in {PATH, PROBE}:
            await self._show(send)
        else:
            await self._app(scope, receive, send)

    async def _show(self, send: Send) -> None:
        content = json.dumps(self._hops.count).encode()
        length = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    hops = Hops()
    hops.install()
    # Not above: it sets up the logging of its process, and the tests import this module, too.
    from app.asgi import app

    app.add_middleware(CountingApp, hops=hops)
    typer.run(serve)
