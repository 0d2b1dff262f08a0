import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AppError
from app.core.request_context import request_id_var, source_var, traceparent_var
from app.core.request_targets import as_routed
from app.core.source_address import Network, source_address
from app.core.traceparent import traceparent_of

logger = logging.getLogger("app.access")

# How much of a body is read that nobody wants, and for how long.
_DISCARD_BYTES = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0
# The request ids that a client may choose. Anything else could forge lines of the log.
_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")


@dataclass
class ResponseHooks:
    """What to do when the response to a request is sent, whatever code creates it.

    Attributes:
        headers: are added to the response.
        before_end: are called once each, before the last byte is sent or when the client has disconnected before that.
    """

    headers: dict[str, str] = field(default_factory=dict)
    before_end: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def end(self) -> None:
        """Call what is in `before_end`, the last one first. Each runs to its end even if this is cancelled."""
        while self.before_end:
            await asyncio.shield(asyncio.ensure_future(self.before_end.pop()()))


def response_hooks(connection: HTTPConnection) -> ResponseHooks:
    """The hooks of the response to a request."""
    hooks: ResponseHooks = connection.scope["junis.hooks"]
    return hooks


class RequestMiddleware:
    """Gives each request its id, its trace, its source, its hooks and its line in the log.

    It also responds to errors that nothing else caught, and to HEAD as to GET, without the body.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[Network] = ()) -> None:
        self.app = app
        self.trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id"))
        method, scope = scope["method"], as_routed(scope)
        hooks = scope["junis.hooks"] = ResponseHooks()
        status = 0

        async def send_with_hooks(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({**hooks.headers, "X-Request-ID": request_id})
            elif not message.get("more_body", False):
                await hooks.end()
            await send({**message, "body": b""} if method == "HEAD" and "body" in message else message)

        started = time.perf_counter()
        with self._context(scope, headers, request_id):
            try:
                await self._respond(scope, receive, send_with_hooks)
            finally:
                await hooks.end()
                _log(scope, method, status, time.perf_counter() - started)

    @contextmanager
    def _context(self, scope: Scope, headers: Headers, request_id: str) -> Iterator[None]:
        peer, forwarded_for = scope.get("client"), headers.getlist("x-forwarded-for")
        source = source_address(peer[0] if peer else None, forwarded_for, self.trusted_proxies)
        token = request_id_var.set(request_id)
        trace_token = traceparent_var.set(traceparent_of(headers.getlist("traceparent")))
        source_token = source_var.set(None if source is None else str(source))
        try:
            yield
        finally:
            source_var.reset(source_token)
            traceparent_var.reset(trace_token)
            request_id_var.reset(token)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_started = False

        async def watch(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:  # nothing after this could respond
            logger.exception("unhandled_error")
            if is_started:
                # The client must see a broken connection, not a response that looks complete.
                raise
            error = AppError()
            response = JSONResponse(error.body(), status_code=error.status, headers=dict(error.headers()))
            await response(scope, receive, watch)


class BodyLimitMiddleware:
    """Refuses a body that is too large when it is read: by its announced length, or else as it arrives.

    The framework's own limit responds in another form than the API's, before any of our code has seen the request.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = _announced_bytes(scope)
        received = 0
        # Whoever waits to be asked for the body sends none that is not asked for.
        is_sending = _is_sending_body(scope)

        async def receive_within_limit() -> Message:
            nonlocal received, is_sending
            # Not an AppError: while the framework reads a body, it lets only its own errors through.
            if announced > self.max_bytes:
                raise HTTPException(413)
            message = await receive()
            is_sending = is_sending and message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413)
            return message

        async def send_when_heard(message: Message) -> None:
            nonlocal is_sending
            if is_sending and message["type"] == "http.response.start":
                is_sending = False
                await _discard_body(receive)
            await send(message)

        await self.app(scope, receive_within_limit, send_when_heard)


async def _discard_body(receive: Receive) -> None:
    """Read what the client still sends, within limits.

    A connection that is closed meanwhile is reset, and a client or a proxy in between that is still sending never reads
    the response.
    """
    discarded = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while discarded < _DISCARD_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                discarded += len(message["body"])


def _is_sending_body(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    headers = Headers(scope=scope)
    return "expect" not in headers and ("transfer-encoding" in headers or headers.get("content-length", "0") != "0")


def _announced_bytes(scope: Scope) -> int:
    announced = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
    return int(announced) if announced.isdecimal() else 0


def _request_id(shown: str | None) -> str:
    return shown if shown and _VALID_REQUEST_ID.fullmatch(shown) else secrets.token_hex(16)


def _log(scope: Scope, method: str, status: int, seconds: float) -> None:
    # The route and not the path: whoever knows the URL of a file or of a webhook may use it.
    route = getattr(scope.get("route"), "path", None)
    extra = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
    logger.info("request", extra=extra)
