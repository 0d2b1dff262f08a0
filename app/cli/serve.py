from typing import Annotated

import typer
import uvicorn

from app.core.settings import load_settings

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - a server in a container is reached from outside it


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = _EVERY_INTERFACE,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on.")] = 8000,
) -> None:
    """Answer HTTP until asked to stop."""
    load_settings()  # told here in a line; raised inside uvicorn's import of the application, it would be a traceback
    uvicorn.run(
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
        timeout_graceful_shutdown=30,
    )
