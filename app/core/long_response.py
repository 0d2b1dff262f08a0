"""The response whose body is written while it is sent, so that it is never whole in memory."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Send

# How long a client may take to read all of it.
_READING_SECONDS: Final = 300.0


class LongResponse(StreamingResponse):
    """A stream that ends if its client reads too slowly: then it is cut, and its connection is closed.

    `waits_seconds`: for how long the body itself waits for something before there is all of it.
    """

    waits_seconds: float = 0.0

    async def stream_response(self, send: Send) -> None:
        """Send the body within the time that there is for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.waits_seconds + _READING_SECONDS):
                await super().stream_response(send)
