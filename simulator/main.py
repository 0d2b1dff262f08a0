import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from simulator.config import SimulatorConfig
from simulator.connection import ClientLeftError, ConnectionCutError, CuttableProtocol
from simulator.control import control_routes
from simulator.openai.errors import ApiError, render_api_error
from simulator.openai.router import openai_routes
from simulator.replicate.errors import Problem, render_problem
from simulator.replicate.router import replicate_routes
from simulator.state import Simulator, build_simulator
from simulator.wire import JsonResponse

_GRACE = 1  # seconds for open streams when the server stops; some never end by themselves


def create_simulator(config: SimulatorConfig) -> Starlette:
    """The simulator as an ASGI application.

    Faults that cut connections need the server of `create_server`, or another uvicorn with ``http=CuttableProtocol``.
    """
    simulator = build_simulator(config)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
        await simulator.media.warm_up()
        async with _webhooks(simulator):
            yield

    app = Starlette(
        routes=[*replicate_routes(), *openai_routes(), *control_routes()],
        exception_handlers={
            Problem: render_problem,
            ApiError: render_api_error,
            ClientLeftError: _nobody_listens,
            ConnectionCutError: _nobody_listens,
            HTTPException: _nothing_here,
        },
        lifespan=lifespan,
    )
    app.state.simulator = simulator
    return app


def create_server(config: SimulatorConfig, *, host: str, port: int) -> uvicorn.Server:
    """The simulator in a server that is ready to run.

    Args:
        config: How it behaves.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
    """
    return uvicorn.Server(
        uvicorn.Config(
            create_simulator(config),
            host=host,
            port=port,
            http=CuttableProtocol,
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )


@asynccontextmanager
async def _webhooks(simulator: Simulator) -> AsyncGenerator[None, None]:
    sender = asyncio.create_task(simulator.webhooks.run())
    try:
        yield
    finally:
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender


async def _nothing_here(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, which Starlette would answer in plain text."""
    if not isinstance(error, HTTPException):
        raise error
    return JsonResponse({"detail": error.detail, "status": error.status_code}, error.status_code)


async def _nobody_listens(request: Request, error: Exception) -> Response:
    return Response(status_code=499)
