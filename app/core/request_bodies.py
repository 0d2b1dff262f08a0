"""Bodies of requests as clients send them: compressed, or as JSON that is called something else."""

import asyncio
from collections.abc import Iterator, Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.decoding import DamagedEncodingError, Decoder, decoder_of
from app.core.errors import AppError, InvalidRequestError, PayloadTooLargeError, UnsupportedMediaTypeError

# What clients call JSON that were not told its type: curl, fetch, and tools that post a file.
_READ_AS_JSON = frozenset(
    {
        "",
        "text/plain",
        "text/json",
        "application/x-json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    }
)
_JSON = (b"content-type", b"application/json")
# No route reads a body of another method.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# A body of more parts is made to cost time, not to save bytes.
_MOST_PARTS = 1000
_NAMED_LENGTH = 60


class RefusedBodyError(HTTPException):
    """A body that is refused while it is read. The framework lets only its own errors pass then."""

    def __init__(self, refusal: AppError) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


class UnknownEncodingError(UnsupportedMediaTypeError):
    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "Accept-Encoding": "gzip, deflate"}


class DecodingMiddleware:
    """Decodes bodies in `gzip` and `deflate` as they are read. `max_bytes` bounds what they decode to."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = _encoding_of(scope)
        if encoding is not None:
            receive = _DecodedBody(receive, encoding, self.max_bytes).receive
        await self.app(scope, receive, send)


class _DecodedBody:
    """The messages of a body, decoded. One message that comes in may become many, each of bounded size."""

    def __init__(self, receive: Receive, encoding: str, max_bytes: int) -> None:
        self._receive = receive
        self._encoding = encoding
        self._decoder: Decoder | None = decoder_of(encoding, most_parts=_MOST_PARTS)
        self._pieces: Iterator[bytes] = iter(())
        self._is_last = False
        self._is_over = False
        self._left = max_bytes

    async def receive(self) -> Message:
        """The next message.

        Raises:
            RefusedBodyError: it cannot be decoded, is not whole, or is too large.
        """
        if self._is_over:
            return await self._receive()
        decoder = self._decoder
        if decoder is None:
            raise RefusedBodyError(UnknownEncodingError(_unknown(self._encoding)))
        try:
            return await self._next(decoder)
        except DamagedEncodingError:
            raise RefusedBodyError(InvalidRequestError(f"The request body is not valid {self._encoding}")) from None

    async def _next(self, decoder: Decoder) -> Message:
        piece = next(self._pieces, None)
        while piece is None:
            if self._is_last:
                self._is_over = True
                return self._message(decoder.rest(), more_body=False)
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._pieces = decoder.pieces(message.get("body", b""))
            self._is_last = not message.get("more_body", False)
            piece = next(self._pieces, None)
        # A small message may become a large body. Others get their turn in between.
        await asyncio.sleep(0)
        return self._message(piece, more_body=True)

    def _message(self, body: bytes, *, more_body: bool) -> Message:
        self._left -= len(body)
        if self._left < 0:
            raise RefusedBodyError(PayloadTooLargeError())
        return {"type": "http.request", "body": body, "more_body": more_body}


def as_json(request: Request) -> Request:
    """The request with a body that the framework reads as JSON, unless it is said to be what cannot be JSON.

    Raises:
        UnsupportedMediaTypeError: it is said to be something else.
    """
    named = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if named == "application/json" or named.endswith("+json"):
        return request
    if named not in _READ_AS_JSON:
        raise UnsupportedMediaTypeError(
            f"Bodies of type {named[:_NAMED_LENGTH]} are not read here. Send application/json"
        )
    others = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    return Request({**request.scope, "headers": [*others, _JSON]}, request.receive)


def _encoding_of(scope: Scope) -> str | None:
    """The encoding of the request's body; None if it has no body or no encoding."""
    if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
        return None
    headers = Headers(scope=scope)
    encoding = ", ".join(headers.getlist("content-encoding")).strip().lower()
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    return encoding if has_body and encoding not in {"", "identity"} else None


def _unknown(encoding: str) -> str:
    return (
        f"A body in the encoding {encoding[:_NAMED_LENGTH]} is not read here. Send it as it is, or in gzip or deflate"
    )
