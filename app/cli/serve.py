import math
from typing import Annotated, Final

import typer
import uvicorn

from app.cli.binding import bind
from app.cli.http_protocol import HttpProtocol
from app.cli.stopping_server import StoppingServer
from app.core.settings import load_settings

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a server in a container is reached from outside it
# How long ended turns have to charge and store what was delivered, and clients to read the end of their streams. A
# client is told after ten seconds if its turn cannot be stored.
_CLOSING_SECONDS: Final = 13


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; :: is all of IPv6 and IPv4.")] = _EVERY_INTERFACE,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on.")] = 8000,
) -> None:
    """Serve the HTTP API until asked to stop."""
    # Bad settings are reported here in a line. Inside uvicorn's import of the application they would be a traceback.
    settings = load_settings()
    sockets = bind(host, port)
    config = uvicorn.Config(
        "app.asgi:app",
        host=host,
        port=port,
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_seconds) + _CLOSING_SECONDS,
    )
    StoppingServer(
        config, delay_seconds=settings.shutdown_delay_seconds, grace_seconds=settings.shutdown_grace_seconds
    ).run(sockets)
