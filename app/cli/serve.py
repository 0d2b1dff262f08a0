import asyncio
import math
import socket
from contextlib import suppress
from typing import Annotated, Final

import typer
import uvicorn

from app.core.settings import load_settings

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a server in a container is reached from outside it
# How long ended turns have to charge and store what was delivered, and clients to read the end of their streams. A
# client is told after ten seconds if its turn cannot be stored.
_CLOSING_SECONDS: Final = 13


class _Server(uvicorn.Server):
    """Ends turns that outlast the grace period while their requests are open, so that every client gets an error."""

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
        # Uvicorn has loaded it by now. No command imports the web application itself.
        await self.config.loaded_app.state.turns.drain()


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = _EVERY_INTERFACE,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on.")] = 8000,
) -> None:
    """Serve the HTTP API until asked to stop."""
    # Bad settings are reported here in a line. Inside uvicorn's import of the application they would be a traceback.
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
