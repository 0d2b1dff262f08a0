"""Responses that begin before the images are made, so that neither clients nor proxies take them for dead."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from app.core import sse
from app.core.errors import AppError
from app.core.long_response import LongResponse
from app.direct_generations.service import Made
from app.idempotency.service import REPLAYED_HEADERS
from app.images.picture_response import Pictured


async def respond_streamed(
    creating: Coroutine[Any, Any, Made], pictured: Pictured, wait_seconds: float
) -> LongResponse:
    """The images as events. What is refused or fails at once is so by its status, later by an event `error`.

    Args:
        creating: makes the images; it is cancelled if the client hangs up.
        pictured: shows them.
        wait_seconds: how long `creating` takes at most.

    Raises:
        AppError: whatever `creating` has raised by then.
    """
    task = asyncio.create_task(creating)
    try:
        await asyncio.wait({task}, timeout=sse.KEEP_ALIVE_SECONDS)
        if task.done():
            made = task.result()
            headers = sse.HEADERS | (REPLAYED_HEADERS if made.is_replayed else {})
            return LongResponse(await pictured.events(made), headers=headers)
    except BaseException:  # raised again
        task.cancel()
        raise
    response = LongResponse(_events(task, pictured), headers=sse.HEADERS)
    response.waits_seconds = wait_seconds
    return response


async def _events(task: asyncio.Task[Made], pictured: Pictured) -> AsyncGenerator[bytes]:
    try:
        yield sse.KEEP_ALIVE
        while not (await asyncio.wait({task}, timeout=sse.KEEP_ALIVE_SECONDS))[0]:
            yield sse.KEEP_ALIVE
        events = await pictured.events(task.result())
    except AppError as error:
        yield b"event: error\n" + sse.frame({"type": "error", **error.body()})
        return
    finally:
        task.cancel()
    async for piece in events:
        yield piece
