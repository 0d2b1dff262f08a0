"""A server that speaks just enough of S3 to misbehave on purpose; it stores nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

_UPLOAD = "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = "<CompleteMultipartUploadResult><ETag>etag</ETag></CompleteMultipartUploadResult>"


@dataclass
class FaultyS3:
    """How the server behaves, and the calls that it received, in order."""

    content: bytes = b""
    cut_at: int | None = None  # the connection of a GET is closed after this many bytes
    page: str | None = None  # every response is this text with status 200
    refused: str | None = None  # the response to this call, as it is named in `calls`, is 403
    held: str | None = None  # the response to this call is sent only after `release` is set
    calls: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond to any request of an S3 client."""
        call = _name(request)
        await request.read()
        if call == self.held:
            self.arrived.set()
            await self.release.wait()
        self.calls.append(call)
        if call == self.refused:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        if self.page is not None:
            return web.Response(text=self.page)
        if call == "get":
            return await self._send(request)
        body = {"create": _UPLOAD, "complete": _COMPLETED}.get(call, "")
        return web.Response(text=body, headers={"ETag": '"etag"'})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        # A range in the request is ignored, as HTTP permits.
        response = web.StreamResponse(headers={"Content-Length": str(len(self.content))})
        await response.prepare(request)
        await response.write(self.content[: self.cut_at])
        if self.cut_at is not None and request.transport is not None:
            request.transport.close()
        return response


def _name(request: web.Request) -> str:
    if "partNumber" in request.query:
        return f"part {request.query['partNumber']}"
    names = {"GET": "get", "PUT": "put", "DELETE": "abort" if "uploadId" in request.query else "delete"}
    return names.get(request.method) or ("create" if "uploads" in request.query else "complete")


@dataclass
class Site:
    """A network address that several misbehaving servers use, one after the other."""

    server: FaultyS3 = field(default_factory=FaultyS3)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Let the current server respond."""
        return await self.server.respond(request)


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[str]:
    """Serve on a free port; yields the URL."""
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", site.respond)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
