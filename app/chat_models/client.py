import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from app.chat_models.body_reader import read_chunks, read_up_to, whole_answer_of
from app.chat_models.dialects import Dialects
from app.chat_models.errors import UpstreamStatusError, rejection_in
from app.chat_models.parsing import UpstreamReportedError
from app.chat_models.patience import PATIENT, StreamPatience, from_now
from app.chat_models.protocol import ChatModelClient, Chunk, JsonObject, TakeChunks, Upstream, UpstreamResponse
from app.chat_models.refusals import host_of, refusal, stated_reason, stated_wait
from app.chat_models.tool_refusals import refuses_tools
from app.core.addresses import endpoint
from app.core.errors import AppError, ProviderError, ProviderTimeoutError, ProviderUnavailableError
from app.core.keepalive import keep_alive
from app.core.metrics import vendor_call
from app.core.outgoing import DIRECT, LONGEST_FIELD, Outgoing
from app.core.span_names import SpanName
from app.core.tracing import say_asked, say_status, spanning, traced_headers

CONNECT_SECONDS = 5
MAX_CONNECTIONS = 1000
# Less than the 5 s after which common servers close an idle connection. A request that is sent while the server closes
# the connection cannot be repeated, as it may have been read; so this should be rare.
IDLE_SECONDS = 4

_OPERATIONS: Final = ("/chat/completions", "/embeddings")
_MAX_REFUSAL_BYTES = 64 * 1024
# Of a request that is written at once.
_SHORT_BYTES = 64 * 1024
_MAX_LIST_BYTES = 8 * 1024 * 1024
# An overloaded upstream is asked once more after this time, or the one that it names unless that is longer than the
# other one. Then a stream can still be refused by the status of its response.
_OWN_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


class AiohttpChatModelClient:
    """Calls all upstreams over one connection pool."""

    def __init__(self, session: aiohttp.ClientSession, outgoing: Outgoing = DIRECT) -> None:
        self._session = session
        self._outgoing = outgoing
        self._dialects = Dialects()

    async def complete(
        self, upstream: Upstream, body: JsonObject, *, timeout: float, of_client: Collection[str] = ()
    ) -> Sequence[Chunk]:
        """See `ChatModelClient.complete`."""
        # No limit on silence: the whole answer comes at once, when the model has finished it.
        call = _Call(upstream, body, of_client, timeout, is_streamed=False)
        async with self._open_response(call, None) as content:
            return await whole_answer_of(content)

    async def stream(
        self,
        upstream: Upstream,
        body: JsonObject,
        take: TakeChunks,
        *,
        timeout: float,
        of_client: Collection[str] = (),
        patience: StreamPatience = PATIENT,
    ) -> None:
        """See `ChatModelClient.stream`."""
        call = _Call(upstream, body, of_client, timeout, is_streamed=True)
        first_until = from_now(patience.first_event)
        async with self._open_response(call, first_until) as content:
            await read_chunks(content, take, first_until, patience.between_events)

    async def post(self, upstream: Upstream, path: str, body: JsonObject, *, timeout: float, most_bytes: int) -> bytes:
        """See `ChatModelClient.post`."""
        url, payload = endpoint(upstream.base_url, path), orjson.dumps(body)
        with vendor_call("chat_model", path, _result_of) as counted, _failures_as_provider_errors(upstream):
            response = await self._post(upstream, url, payload, timeout)
            counted.responded()
            if not 200 <= response.status < 300:
                raise await _refusal_of(upstream, response)
            async with response:
                return await read_up_to(response.content, most_bytes)

    async def read(self, upstream: Upstream, path: str, *, timeout: float) -> UpstreamResponse:
        """See `ChatModelClient.read`."""
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS)
        url = endpoint(upstream.base_url, path.removeprefix("/"))
        with _failures_as_provider_errors(upstream):
            async with self._session.get(
                url, timeout=limits, allow_redirects=False, **self._options(upstream, url)
            ) as response:
                body = await read_up_to(response.content, _MAX_LIST_BYTES)
                return UpstreamResponse(response.status, dict(response.headers), body)

    async def close(self) -> None:
        """See `ChatModelClient.close`."""
        await self._session.close()

    @asynccontextmanager
    async def _open_response(self, call: "_Call", until: float | None) -> AsyncIterator[aiohttp.StreamReader]:
        """The unread body of a response of success, which has to begin by `until`, on the loop's clock.

        Leaving the block before the end of the body closes the connection.
        """
        operation = "stream" if call.is_streamed else "complete"
        with vendor_call("chat_model", operation, _result_of) as counted, _failures_as_provider_errors(call.upstream):
            async with asyncio.timeout_at(until):
                response = await self._ask(call)
            counted.responded()
            async with response:
                yield response.content

    async def _ask(self, call: "_Call") -> aiohttp.ClientResponse:
        """The response of success, in the first dialect that the upstream does not refuse.

        Each feature of the dialect is changed once at most. An upstream that is overloaded is asked twice.
        """
        url = endpoint(call.upstream.base_url, "chat/completions")
        dialect = self._dialects.of(call.upstream, call.body)
        tried, has_waited = {dialect}, False
        while True:
            request = dialect.request(call.body, call.of_client, is_streamed=call.is_streamed)
            response = await self._post(call.upstream, url, orjson.dumps(request), call.timeout)
            if 200 <= response.status < 300:
                self._dialects.learn(call.upstream, call.body, dialect)
                return response
            error = await _refusal_of(call.upstream, response)
            if isinstance(error, ProviderUnavailableError) and not has_waited:
                await _pause_after(error)
                has_waited = True
                continue
            rejected = rejection_in(error)
            if rejected is not None:
                dialect = dialect.after(rejected, request, call.of_client)
            if dialect in tried:
                raise rejected if rejected is not None and refuses_tools(rejected) else error
            tried.add(dialect)

    async def _post(self, upstream: Upstream, url: str, payload: bytes, timeout: float) -> aiohttp.ClientResponse:
        """Send the request, and send it once more if no connection could be opened.

        That is the only failure after which the request has certainly not been read. If the server closes a connection
        without a response, even a reused one, it may have read the request, and a second one could be billed again.
        """
        try:
            return await self._post_once(upstream, url, payload, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return await self._post_once(upstream, url, payload, timeout)

    async def _post_once(self, upstream: Upstream, url: str, payload: bytes, timeout: float) -> aiohttp.ClientResponse:
        with spanning(SpanName.UPSTREAM_REQUEST, operation=_operation_of(url)) as span:
            say_asked(span, "POST", url)
            response = await self._session.post(
                url,
                # A file object is written piece by piece. Requests with images have megabytes.
                data=payload if len(payload) <= _SHORT_BYTES else BytesIO(payload),
                timeout=aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS),
                # A redirect would send the prompt, and perhaps the key, to a host that nobody configured.
                allow_redirects=False,
                **self._options(upstream, url),
            )
            say_status(span, response.status)
            return response

    def _options(self, upstream: Upstream, url: str) -> dict[str, Any]:
        """How to send a request for this URL: through which proxy, and with which key."""
        options = self._outgoing.options_for(url)
        options["headers"] = {**options["headers"], **traced_headers()}
        if upstream.api_key:
            options["headers"]["Authorization"] = f"Bearer {upstream.api_key}"
        return options


@dataclass(frozen=True)
class _Call:
    """The arguments of a call; see `ChatModelClient.complete`."""

    upstream: Upstream
    body: JsonObject
    of_client: Collection[str]
    timeout: float
    is_streamed: bool


def open_chat_model_client(outgoing: Outgoing = DIRECT) -> ChatModelClient:
    """A client without connections yet. Call this inside the event loop that will use the client."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS, ssl=outgoing.tls, socket_factory=_kept_alive
        ),
        # One client serves every organization. No cookie of one response may be sent with the request of another.
        cookie_jar=aiohttp.DummyCookieJar(),
        max_field_size=LONGEST_FIELD,
        # Compression would delay chunks, and costs more than it saves.
        headers={"Accept-Encoding": "identity", "Content-Type": "application/json", "User-Agent": "junis-server"},
    )
    return AiohttpChatModelClient(session, outgoing)


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices that the upstream is gone: a model that thinks sends as little as one that is gone."""
    opened = socket.socket(*address[:3])
    keep_alive(opened)
    return opened


async def _pause_after(error: ProviderUnavailableError) -> None:
    """Wait before the upstream is asked again.

    Raises:
        ProviderUnavailableError: it asks for more time than there is.
    """
    wanted = _OWN_PAUSE_SECONDS if error.wait_seconds is None else error.wait_seconds
    if wanted > _LONGEST_PAUSE_SECONDS:
        raise error
    await asyncio.sleep(wanted)


async def _refusal_of(upstream: Upstream, response: aiohttp.ClientResponse) -> AppError:
    """Read the error of a response that is none of success, and end the response."""
    async with response:
        body = await read_up_to(response.content, _MAX_REFUSAL_BYTES)
        error = refusal(upstream, response.status, stated_wait(response.headers), body)
        # For whoever looks into it: the text for clients does not say it.
        error.__cause__ = UpstreamStatusError(response.status, stated_reason(upstream, body))
        return error


def _operation_of(url: str) -> str:
    """What traces call that which an upstream is asked for: of its URL nothing else may be said."""
    return next((known for known in _OPERATIONS if urlsplit(url).path.endswith(known)), "")


@contextmanager
def _failures_as_provider_errors(upstream: Upstream) -> Iterator[None]:
    try:
        yield
    except UpstreamReportedError as reported:
        said = UpstreamStatusError(200, stated_reason(upstream, reported.body))
        raise refusal(upstream, 200, None, reported.body, has_begun=reported.has_begun) from said
    except TimeoutError as error:
        _log_failure(upstream, error)
        raise ProviderTimeoutError from error
    except (aiohttp.ClientError, OSError) as error:
        _log_failure(upstream, error)
        raise ProviderError from error


def _result_of(error: Exception) -> str:
    """What the metrics call the failure of a call: a code of the API's."""
    return error.code if isinstance(error, AppError) else AppError.code


def _log_failure(upstream: Upstream, error: Exception) -> None:
    # str() and not repr(): aiohttp's repr shows the headers of the request, which include the key.
    reason = f"{type(error).__name__}: {error}"
    logger.warning("upstream_failed", extra={"upstream": host_of(upstream), "reason": reason})
