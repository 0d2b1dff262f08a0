import asyncio
import math
import socket
from contextlib import suppress
from typing import Annotated, Final

import typer
import uvicorn

from app.core.settings import load_settings

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a server in a container is reached from outside it
# What ended turns have to charge and store what was delivered, and their clients to read their last words.
_CLOSING_SECONDS: Final = 10


class _Server(uvicorn.Server):
    """Ends the turns that outlast the grace while their requests are still open, so that every client is told."""

    def __init__(self, config: uvicorn.Config, grace_seconds: float) -> None:
        super().__init__(config)
        self._grace_seconds = grace_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and wait for the open requests."""
        ending = asyncio.create_task(self._end_turns())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _end_turns(self) -> None:
        await asyncio.sleep(self._grace_seconds)
        # What uvicorn has loaded by now: no command imports the web application itself.
        await self.config.loaded_app.state.turns.drain()


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = _EVERY_INTERFACE,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on.")] = 8000,
) -> None:
    """Answer HTTP until asked to stop."""
    # Told here in a line where it is bad; raised inside uvicorn's import of the application, it would be a traceback.
    grace_seconds = load_settings().shutdown_grace_seconds
    config = uvicorn.Config(
        "app.asgi:app",
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=math.ceil(grace_seconds) + _CLOSING_SECONDS,
    )
    with suppress(KeyboardInterrupt):
        _Server(config, grace_seconds).run()
