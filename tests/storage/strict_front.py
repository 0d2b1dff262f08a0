"""A reverse proxy before a real S3 server, as strict as some other servers are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientSession, web
from yarl import URL

_NOT_FORWARDED: Final = frozenset({"transfer-encoding", "content-length", "connection", "expect"})
_LISTS: Final = frozenset({"list-type", "uploads", "prefix", "delimiter"})


@dataclass
class Front:
    """What the proxy refuses, and the requests that it received, in order."""

    upstream: str
    hides_missing: bool = False  # like AWS from a key that may not list: 403 instead of 404, and no lists
    requests: list[web.BaseRequest] = field(default_factory=list)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Refuse the request, or forward it with its own host, so that its signature stays right."""
        self.requests.append(request)
        body = await request.read()
        if wants_checksum_support(request):
            return _error(501, "NotImplemented")
        if self.hides_missing and _is_list(request):
            return _error(403, "AccessDenied")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
        async with (
            ClientSession(auto_decompress=False, skip_auto_headers=["Content-Type"]) as session,
            session.request(
                request.method,
                URL(self.upstream + request.raw_path, encoded=True),
                data=BytesIO(body) if body else None,
                headers=headers,
            ) as received,
        ):
            if self.hides_missing and received.status == 404:
                return _error(403, "AccessDenied")
            kept = {name: value for name, value in received.headers.items() if name.lower() not in _NOT_FORWARDED}
            return web.Response(status=received.status, body=await received.read(), headers=kept)


def wants_checksum_support(request: web.BaseRequest) -> bool:
    """Whether the request can be served only by a server that knows the checksums newer clients send."""
    headers = request.headers
    return (
        "x-amz-trailer" in headers
        or any(name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-")) for name in headers)
        or "aws-chunked" in headers.get("Content-Encoding", "")
        or headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        or "Transfer-Encoding" in headers
    )


def _is_list(request: web.Request) -> bool:
    is_bucket = "/" not in request.path.strip("/")
    return request.method in {"GET", "HEAD"} and (is_bucket or not _LISTS.isdisjoint(request.query))


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>")


@asynccontextmanager
async def before(server_url: str, *, hides_missing: bool = False) -> AsyncIterator[tuple[Front, int]]:
    """Serve on a free port before the server; yields the proxy and its port."""
    front = Front(f"http://127.0.0.1:{urlsplit(server_url).port}", hides_missing)
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", front.respond)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield front, runner.addresses[0][1]
    finally:
        await runner.cleanup()
