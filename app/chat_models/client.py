import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from io import BytesIO

import aiohttp
import orjson

from app.chat_models.dialects import Dialects
from app.chat_models.errors import UpstreamRejectedError, UpstreamStatusError
from app.chat_models.parsing import UpstreamReportedError, is_finished_by, parse_chunk, parse_completion
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream, UpstreamResponse
from app.chat_models.refusals import host_of, refusal, stated_reason
from app.chat_models.sse_reader import SseReader
from app.core.errors import AppError, ProviderError, ProviderTimeoutError

CONNECT_SECONDS = 5
SILENCE_SECONDS = 120
MAX_CONNECTIONS = 1000
# Less than the 5 s after which common servers close an idle connection. A request that is sent while the server closes
# the connection cannot be repeated, as it may have been read; so this should be rare.
IDLE_SECONDS = 4

_MAX_COMPLETION_BYTES = 32 * 1024 * 1024
_MAX_REFUSAL_BYTES = 64 * 1024
_DRAIN_SECONDS = 0.25

logger = logging.getLogger(__name__)


class AiohttpChatModelClient:
    """Calls all upstreams over one connection pool."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._dialects = Dialects()

    async def complete(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> JsonObject:
        """See `ChatModelClient.complete`."""
        # No limit on silence: the whole answer comes at once, when the model has finished it.
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS)
        async with self._open_response(upstream, body, limits, is_streamed=False) as content:
            return parse_completion(await _read_up_to(content, _MAX_COMPLETION_BYTES))

    async def stream(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> AsyncGenerator[JsonObject]:
        """See `ChatModelClient.stream`."""
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        is_finished = False
        async with (
            self._open_response(upstream, body, limits, is_streamed=True) as content,
            aclosing(_events(content)) as events,
        ):
            try:
                async for data in events:
                    chunk = parse_chunk(data)
                    is_finished = is_finished or is_finished_by(chunk)
                    yield chunk
            except (aiohttp.ClientError, TimeoutError):
                # After a finish_reason only the usage can be missing. The answer itself is complete.
                if not is_finished:
                    raise
        if not is_finished:
            raise ProviderError("The model provider ended its answer before it was finished")

    async def read(self, upstream: Upstream, path: str, *, timeout: float) -> UpstreamResponse:
        """See `ChatModelClient.read`."""
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS)
        with _failures_as_provider_errors(upstream):
            async with self._session.get(
                f"{upstream.base_url.rstrip('/')}{path}",
                headers={"Authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else None,
                timeout=limits,
                allow_redirects=False,
            ) as response:
                body = await _read_up_to(response.content, _MAX_COMPLETION_BYTES)
                return UpstreamResponse(response.status, dict(response.headers), body)

    async def close(self) -> None:
        """See `ChatModelClient.close`."""
        await self._session.close()

    @asynccontextmanager
    async def _open_response(
        self, upstream: Upstream, body: JsonObject, limits: aiohttp.ClientTimeout, *, is_streamed: bool
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The unread body of a response with status 200. Leaving the block before its end closes the connection."""
        with _failures_as_provider_errors(upstream):
            async with await self._ask(upstream, body, limits, is_streamed=is_streamed) as response:
                yield response.content

    async def _ask(
        self, upstream: Upstream, body: JsonObject, limits: aiohttp.ClientTimeout, *, is_streamed: bool
    ) -> aiohttp.ClientResponse:
        """The response with status 200, in the first dialect that the upstream does not refuse.

        Each of its features is changed once at most: a refusal of the second name of the limit is final.
        """
        dialect = self._dialects.of(upstream, body)
        tried = {dialect}
        while True:
            request = orjson.dumps(dialect.request(body, is_streamed=is_streamed))
            response = await self._post(upstream, request, limits)
            if response.status == 200:
                self._dialects.learn(upstream, body, dialect)
                return response
            error = await _refusal_of(upstream, response)
            dialect = dialect.after(error) if isinstance(error, UpstreamRejectedError) else dialect
            if dialect in tried:
                raise error
            tried.add(dialect)

    async def _post(self, upstream: Upstream, payload: bytes, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send the request, and send it once more if no connection could be opened.

        That is the only failure after which the request has certainly not been read. If the server closes a connection
        without a response, even a reused one, it may have read the request, and a second one could be billed again.
        """
        try:
            return await self._post_once(upstream, payload, limits)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return await self._post_once(upstream, payload, limits)

    async def _post_once(
        self, upstream: Upstream, payload: bytes, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        return await self._session.post(
            f"{upstream.base_url.rstrip('/')}/chat/completions",
            # A file object is written piece by piece. Requests with images have megabytes.
            data=BytesIO(payload),
            headers={"Authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else None,
            timeout=limits,
            # A redirect would send the prompt, and perhaps the key, to a host that nobody configured.
            allow_redirects=False,
        )


def open_chat_model_client() -> ChatModelClient:
    """A client without connections yet. Call this inside the event loop that will use the client."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
        # One client serves every organization. No cookie of one response may be sent with the request of another.
        cookie_jar=aiohttp.DummyCookieJar(),
        # Compression would delay chunks, and costs more than it saves.
        headers={"Accept-Encoding": "identity", "Content-Type": "application/json", "User-Agent": "junis-server"},
    )
    return AiohttpChatModelClient(session)


async def _events(content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """The data of each event, up to `[DONE]` or the end of the body."""
    reader = SseReader()
    async for piece in content.iter_any():
        for data in reader.feed(piece):
            if data == b"[DONE]":
                await _drain(content)
                return
            yield data


async def _refusal_of(upstream: Upstream, response: aiohttp.ClientResponse) -> AppError:
    """Read the error of a response with another status than 200, and end the response."""
    async with response:
        body = await _read_up_to(response.content, _MAX_REFUSAL_BYTES)
        error = refusal(upstream, response.status, response.headers.get("Retry-After"), body)
        # For whoever looks into it: the text for clients does not say it.
        error.__cause__ = UpstreamStatusError(response.status, stated_reason(upstream, body))
        return error


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read to the end of the body, right after `[DONE]`. Only then can the connection be used again."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await content.readany():
                pass


async def _read_up_to(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body, cut off soon after `limit` bytes. If it was cut off, it is not valid JSON any more."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > limit:
            break
    return bytes(body)


@contextmanager
def _failures_as_provider_errors(upstream: Upstream) -> Iterator[None]:
    try:
        yield
    except UpstreamReportedError as reported:
        said = UpstreamStatusError(200, stated_reason(upstream, reported.body))
        raise refusal(upstream, 200, None, reported.body) from said
    except TimeoutError as error:
        _log_failure(upstream, error)
        raise ProviderTimeoutError from error
    except (aiohttp.ClientError, OSError) as error:
        _log_failure(upstream, error)
        raise ProviderError from error


def _log_failure(upstream: Upstream, error: Exception) -> None:
    # str() and not repr(): aiohttp's repr shows the headers of the request, which include the key.
    reason = f"{type(error).__name__}: {error}"
    logger.warning("upstream_failed", extra={"upstream": host_of(upstream), "reason": reason})
