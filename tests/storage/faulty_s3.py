"""A server that speaks just enough of S3 to misbehave on purpose; it stores nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

_UPLOAD = "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>"
_COMPLETED = "<CompleteMultipartUploadResult><ETag>etag</ETag></CompleteMultipartUploadResult>"


@dataclass(frozen=True)
class Reply:
    """What the server does with one call, instead of what it would do."""

    status: int = 200
    code: str = ""  # of an error, which is the body whatever the status
    region: str = ""  # the region that the error names
    headers: Mapping[str, str] = field(default_factory=dict)
    is_lost: bool = False  # the connection is closed without a response, once the request has arrived
    is_hasty: bool = False  # the connection is closed while the request arrives

    def response(self) -> web.Response:
        """The response that says so."""
        region = f"<Region>{self.region}</Region>" if self.region else ""
        text = f"<Error><Code>{self.code}</Code>{region}</Error>" if self.code else ""
        return web.Response(status=self.status, text=text, headers=self.headers)


@dataclass
class FaultyS3:
    """How the server behaves, and the calls that it received, in order."""

    content: bytes = b""
    cut_at: int | None = None  # the connection of a GET is closed after this many bytes
    has_length: bool = True  # of the body of a GET; otherwise it is sent in chunks
    page: str | None = None  # every response is this text with status 200
    refused: str | None = None  # the response to this call, as it is named in `calls`, is 403
    held: str | None = None  # the response to this call is sent only after `release` is set
    replies: dict[str, list[Reply]] = field(default_factory=dict)  # what it does first with these calls
    calls: list[str] = field(default_factory=list)
    requests: list[web.BaseRequest] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond to any request of an S3 client."""
        call = _name(request)
        replies = self.replies.get(call)
        reply = replies.pop(0) if replies else None
        if reply is None or not reply.is_hasty:
            await request.read()
        if call == self.held:
            self.arrived.set()
            await self.release.wait()
        self.calls.append(call)
        self.requests.append(request)
        if reply is None:
            return await self._respond(request, call)
        if reply.is_lost or reply.is_hasty:
            _close(request)
        return reply.response()

    async def _respond(self, request: web.Request, call: str) -> web.StreamResponse:
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
        response = web.StreamResponse()
        if self.has_length:
            response.content_length = len(self.content)
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(self.content[: self.cut_at])
        if self.cut_at is not None:
            _close(request)
        return response


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _name(request: web.Request) -> str:
    if "partNumber" in request.query:
        return f"part {request.query['partNumber']}"
    names = {"GET": "get", "HEAD": "head", "PUT": "put", "DELETE": "abort" if "uploadId" in request.query else "delete"}
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
