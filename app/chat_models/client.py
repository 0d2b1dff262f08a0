import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from io import BytesIO

import aiohttp
import orjson

from app.chat_models.parsing import UpstreamReportedError, is_finished_by, parse_chunk, parse_completion
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream
from app.chat_models.refusals import host_of, refusal
from app.chat_models.sse_reader import SseReader
from app.core.errors import ProviderError, ProviderTimeoutError

CONNECT_SECONDS = 5
SILENCE_SECONDS = 120
MAX_CONNECTIONS = 1000
# Below the 5 s after which common servers close an idle connection: a request that meets the close must not be sent
# again, as it may have been read, so the meeting has to be rare.
IDLE_SECONDS = 4

_MAX_COMPLETION_BYTES = 32 * 1024 * 1024
_MAX_REFUSAL_BYTES = 64 * 1024
_DRAIN_SECONDS = 0.25

logger = logging.getLogger(__name__)


class AiohttpChatModelClient:
    """Calls every upstream over one pool of connections."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def complete(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> JsonObject:
        """One `chat.completion`; `timeout` in seconds bounds the whole call."""
        request = {name: value for name, value in body.items() if name not in {"stream", "stream_options"}}
        # No bound on silence: the whole answer comes at once, after as long as the model takes.
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS)
        async with self._answer(upstream, request, limits) as content:
            return parse_completion(await _read_up_to(content, _MAX_COMPLETION_BYTES))

    async def stream(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> AsyncGenerator[JsonObject]:
        """The chunks of one answer as they come; `timeout` in seconds bounds the whole call."""
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        request = {**body, "stream": True, "stream_options": options}
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        is_finished = False
        async with self._answer(upstream, request, limits) as content, aclosing(_events(content)) as events:
            try:
                async for data in events:
                    chunk = parse_chunk(data)
                    is_finished = is_finished or is_finished_by(chunk)
                    yield chunk
            except (aiohttp.ClientError, TimeoutError):
                # After a finish_reason only the usage can be missing: the answer itself is whole.
                if not is_finished:
                    raise
        if not is_finished:
            raise ProviderError("The model provider ended its answer before it was finished")

    async def close(self) -> None:
        """Give back the connections."""
        await self._session.close()

    @asynccontextmanager
    async def _answer(
        self, upstream: Upstream, request: JsonObject, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a 200 answer, unread. Leaving before its end closes the connection."""
        with _failures_as_provider_errors(upstream):
            async with await self._post(upstream, orjson.dumps(request), limits) as response:
                if response.status != 200:
                    body = await _read_up_to(response.content, _MAX_REFUSAL_BYTES)
                    raise refusal(upstream, response.status, response.headers.get("Retry-After"), body)
                yield response.content

    async def _post(self, upstream: Upstream, payload: bytes, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send the request, once more where no connection came about.

        That is the only failure after which it certainly was not read. A connection that the server closes without
        an answer, a reused one included, may have carried it: a second request could be a second, billed answer.
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
            # A file object is written piece by piece: images make requests of megabytes.
            data=BytesIO(payload),
            headers={"Authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else None,
            timeout=limits,
            # A redirect would carry the prompt, and perhaps the key, to a host that nobody configured.
            allow_redirects=False,
        )


def open_chat_model_client() -> ChatModelClient:
    """A client without connections yet. Call it inside the event loop that will use it."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS),
        # One client serves every organization: nothing of one answer may travel with another's request.
        cookie_jar=aiohttp.DummyCookieJar(),
        # Compression would make chunks wait for each other, and costs more than it saves.
        headers={"Accept-Encoding": "identity", "Content-Type": "application/json", "User-Agent": "junis-server"},
    )
    return AiohttpChatModelClient(session)


async def _events(content: aiohttp.StreamReader) -> AsyncGenerator[bytes]:
    """The data of each event up to `[DONE]` or the end of the body."""
    reader = SseReader()
    async for piece in content.iter_any():
        for data in reader.feed(piece):
            if data == b"[DONE]":
                await _drain(content)
                return
            yield data


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read to the end of the body, which comes right after `[DONE]`: only then can the connection be used again."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await content.readany():
                pass


async def _read_up_to(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body, cut off soon after `limit` bytes; what is cut off is no JSON any more."""
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
        raise refusal(upstream, 200, None, reported.body) from None
    except TimeoutError as error:
        _log_failure(upstream, error)
        raise ProviderTimeoutError from error
    except (aiohttp.ClientError, OSError) as error:
        _log_failure(upstream, error)
        raise ProviderError from error


def _log_failure(upstream: Upstream, error: Exception) -> None:
    # str() and not repr(): aiohttp's repr shows the request's headers, the key among them.
    reason = f"{type(error).__name__}: {error}"
    logger.warning("upstream_failed", extra={"upstream": host_of(upstream), "reason": reason})
