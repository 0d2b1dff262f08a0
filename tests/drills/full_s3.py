"""A real S3 server behind a proxy that can answer every write as a store without room does, or one that fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tests.drills.product import made
from tests.storage import rclone
from tests.storage.faulty_s3 import Reply
from tests.storage.strict_front import Front

_BUCKET = "outputs"
_WRITES = frozenset({"PUT", "POST"})


@dataclass
class FullFront(Front):
    """What the proxy answers to writes; None while it passes them on."""

    refusal: Reply | None = None

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer or forward one request."""
        if self.refusal is None or request.method not in _WRITES:
            return await super().respond(request)
        await request.read()
        return self.refusal.response()


@asynccontextmanager
async def s3_that_fills(folder: Path) -> AsyncIterator[tuple[FullFront, dict[str, str]]]:
    """Run both during the block; yields the proxy and the product's settings."""
    made(folder / _BUCKET)
    with rclone.serving(folder, folder.with_suffix(".log")) as url:
        front = FullFront(url)
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", front.respond)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        settings = {
            "STORAGE": "s3",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "S3_BUCKET": _BUCKET,
            "S3_ACCESS_KEY_ID": rclone.ACCESS_KEY_ID,
            "S3_SECRET_ACCESS_KEY": rclone.SECRET_ACCESS_KEY,
        }
        try:
            yield front, settings
        finally:
            await runner.cleanup()
