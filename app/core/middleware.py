import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AppError
from app.core.metrics import HTTP_IN_PROGRESS, HTTP_REQUESTS, HTTP_SECONDS, OTHER
from app.core.request_context import request_id_var, source_var, traceparent_var
from app.core.request_targets import as_routed
from app.core.source_address import Network, source_address
from app.core.span_names import Attribute, SpanName
from app.core.traceparent import traceparent_of
from app.core.tracing import Span, Tracer, current

logger = logging.getLogger("app.access")

# How much of a body is read that nobody wants, and for how long.
_DISCARD_BYTES = 64 * 1024 * 1024
_DISCARD_SECONDS = 10.0
# The request ids that a client may choose. Anything else could forge lines of the log.
_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")

# They are asked every few seconds, by programs that belong to nobody's trace.
_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
# A client may make up others without end.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_Variable: TypeAlias = ContextVar[str | None]
_Token: TypeAlias = Token[str | None]


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
        """Call what is in `before_end`, the last one first. All of it runs to its end even if this is cancelled."""
        if self.before_end:
            await asyncio.shield(asyncio.ensure_future(self._end()))

    async def _end(self) -> None:
        while self.before_end:
            await self.before_end.pop()()


def response_hooks(connection: HTTPConnection) -> ResponseHooks:
    """The hooks of the response to a request."""
    hooks: ResponseHooks = connection.scope["junis.hooks"]
    return hooks


class RequestMiddleware:
    """Gives each request its id, its trace, its source, its hooks, its line in the log and its place in the metrics.

    It also responds to errors that nothing else caught, and to HEAD as to GET, without the body.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[Network] = (), tracer: Tracer | None = None) -> None:
        self.app = app
        self.trusted_proxies = trusted_proxies
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method, scope = scope["method"], as_routed(scope)
        hooks = scope["junis.hooks"] = ResponseHooks()
        response = _Response(send, hooks, _request_id(headers.get("x-request-id")), is_head=method == "HEAD")
        started = time.perf_counter()
        shown = headers.getlist("traceparent")
        traceparent = traceparent_of(shown)
        span = self._begin_span(scope, method, traceparent if traceparent in shown else None, response.request_id)
        tokens = self._enter(scope, headers, response.request_id, span.traceparent if span else traceparent)
        HTTP_IN_PROGRESS.inc()
        try:
            with current(span):
                await self._respond(scope, receive, response)
        finally:
            HTTP_IN_PROGRESS.dec()
            await hooks.end()
            with current(span):
                _note(scope, method, response.status, time.perf_counter() - started)
            _end_span(span, scope, response.status)
            for variable, token in tokens:
                variable.reset(token)

    def _begin_span(self, scope: Scope, method: str, traceparent: str | None, request_id: str) -> Span | None:
        if self.tracer is None or scope["path"] in _UNTRACED:
            return None
        method = _known(method)
        attributes = {Attribute.HTTP_METHOD: method, Attribute.REQUEST_ID: request_id}
        return self.tracer.begin(SpanName.REQUEST, attributes, traceparent=traceparent, named={"method": method})

    def _enter(
        self, scope: Scope, headers: Headers, request_id: str, traceparent: str
    ) -> Sequence[tuple[_Variable, _Token]]:
        """Note what identifies the request. Returns what has to be reset."""
        peer, forwarded_for = scope.get("client"), headers.getlist("x-forwarded-for")
        source = source_address(peer[0] if peer else None, forwarded_for, self.trusted_proxies)
        return (
            (source_var, source_var.set(None if source is None else str(source))),
            (traceparent_var, traceparent_var.set(traceparent)),
            (request_id_var, request_id_var.set(request_id)),
        )

    async def _respond(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        try:
            await self.app(scope, receive, response.send)
        except Exception:  # nothing after this could respond
            logger.exception("unhandled_error")
            if response.status:
                # The client must see a broken connection, not a response that looks complete.
                await response.send_head()
                raise
            error = AppError()
            refusal = JSONResponse(error.body(), status_code=error.status, headers=dict(error.headers()))
            await refusal(scope, receive, response.send)


class _Response:
    """The response to a request on its way to the client.

    A head whose body follows at once waits for it, so that both are sent together.

    Attributes:
        request_id: the id that it carries.
        status: its status; 0 before it has begun.
    """

    def __init__(self, send: Send, hooks: ResponseHooks, request_id: str, *, is_head: bool) -> None:
        self.request_id = request_id
        self.status = 0
        self._send = send
        self._hooks = hooks
        self._is_head = is_head
        self._head: Message | None = None

    async def send(self, message: Message) -> None:
        """Send the next message of the response."""
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        if not message.get("more_body", False):
            await self._hooks.end()
        if self._head is not None:
            await self.send_head()
        await self._send({**message, "body": b""} if self._is_head and "body" in message else message)

    async def send_head(self) -> None:
        """Send the head, if it has not been sent."""
        head, self._head = self._head, None
        if head is not None:
            await self._send(head)

    async def _begin(self, message: Message) -> None:
        self.status = message["status"]
        added = [(name.lower().encode(), value.encode("latin-1")) for name, value in self._hooks.headers.items()]
        added.append((b"x-request-id", self.request_id.encode()))
        names = {name for name, _ in added}
        headers = [field for field in message.get("headers", ()) if field[0] not in names]
        self._head = {**message, "headers": [*headers, *added]}
        # Of a stream the body may come much later.
        if not any(name == b"content-length" for name, _ in headers):
            await self.send_head()


class BodyLimitMiddleware:
    """Refuses a body that is too large when it is read: by its announced length, or else as it arrives.

    The framework's own limit responds in another form than the API's, before any of our code has seen the request.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope):
            await self.app(scope, receive, send)
            return
        announced = _announced_bytes(scope)
        received = 0
        # Whoever waits to be asked for the body sends none that is not asked for.
        is_sending = "expect" not in Headers(scope=scope)

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


def has_body(scope: Scope) -> bool:
    """Whether the request has a body, or may have one."""
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _announced_bytes(scope: Scope) -> int:
    announced = Headers(scope=scope).get("content-length", "")
    return int(announced) if announced.isdecimal() else 0


def _request_id(shown: str | None) -> str:
    return shown if shown and _VALID_REQUEST_ID.fullmatch(shown) else secrets.token_hex(16)


def _known(method: str) -> str:
    return method if method in _METHODS else OTHER


def _route_of(scope: Scope) -> str | None:
    """The route and not the path: whoever knows the URL of a file or of a webhook may use it."""
    return getattr(scope.get("route"), "path", None)


def _end_span(span: Span | None, scope: Scope, status: int) -> None:
    """End the span of the request. `status` is 0 if no response has begun."""
    if span is None:
        return
    route = _route_of(scope)
    span.set({Attribute.HTTP_ROUTE: route, Attribute.HTTP_STATUS: status or None})
    if not status or status >= 500:
        span.fail(str(status) if status else "no_response")
    span.end(route=route or "")


def _note(scope: Scope, method: str, status: int, seconds: float) -> None:
    """Count the request, and write its line in the log."""
    route = _route_of(scope)
    requests, duration = _series(_known(method), route, status)
    requests.inc()
    duration.observe(seconds)
    extra = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
    logger.info("request", extra=extra)


@cache
def _series(method: str, route: str | None, status: int) -> tuple[Counter, Histogram]:
    """The series of a route's requests, looked up once. There are as many as methods, routes and statuses."""
    known = (method, route or "none")
    return HTTP_REQUESTS.labels(*known, str(status) if status else "none"), HTTP_SECONDS.labels(*known)
