"""The application's middleware around an ASGI application that shows what it is asked, without a server."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from app.core.cors import CorsMiddleware
from app.core.error_handlers import on_http_exception
from app.core.middleware import BodyLimitMiddleware, RequestMiddleware
from app.core.request_bodies import DecodingMiddleware, RefusedBodyError

MOST_BYTES = 100_000


class Echo:
    """Reads a request's body and remembers what it was; `fail` makes it raise instead."""

    def __init__(self, *allowed_origins: str, fail: bool = False) -> None:
        self.seen: dict[str, Any] = {}
        self.body = b""
        self.read_at_once: list[int] = []
        self._fail = fail
        limited = BodyLimitMiddleware(DecodingMiddleware(self._respond, MOST_BYTES), MOST_BYTES)
        self.app = RequestMiddleware(CorsMiddleware(limited, frozenset(allowed_origins)))

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen = dict(scope)
        if self._fail:
            raise RuntimeError("of the test")
        request = Request(scope, receive)
        try:
            async for chunk in request.stream():
                self.body += chunk
                self.read_at_once.append(len(chunk))
        except RefusedBodyError as refusal:
            response = await on_http_exception(request, refusal)
        else:
            response = JSONResponse({"length": len(self.body)})
        await response(scope, receive, send)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        raw_path: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        chunks: Sequence[bytes] = (b"",),
    ) -> list[Message]:
        """The messages of the response to a request whose body arrives in these chunks."""
        sent = {"transfer-encoding": "chunked", **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": raw_path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }
        body = iter(chunks)
        left = len(chunks)
        messages: list[Message] = []

        async def receive() -> Message:
            nonlocal left
            left -= 1
            return {"type": "http.request", "body": next(body), "more_body": left > 0}

        async def send(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        return messages


def status_and_headers(messages: Sequence[Message]) -> tuple[int, dict[str, str]]:
    """Of a response."""
    start = messages[0]
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}
