from collections.abc import AsyncGenerator
from urllib.parse import urljoin

import aiohttp

from app.core.decoding import DamagedEncodingError, Decoder, decoder_of
from app.core.outgoing import DIRECT, LONGEST_FIELD, Outgoing
from app.core.span_names import SpanName
from app.core.tracing import Span, begin_span, error_type_of, say_asked, say_status
from worker.transfer.digests import Digests
from worker.transfer.hosts import is_allowed

_MOST_REDIRECTS = 3
_CHUNK_BYTES = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
# 407 is a proxy's: the operator has to correct its password.
_WORTH_ANOTHER_TRY = {407, 408, 425, 429, 500, 502, 503, 504}


class DownloadRefusedError(Exception):
    """The file cannot be downloaded, and another try would not help."""


class DownloadInterruptedError(Exception):
    """The file did not arrive whole; another try may succeed."""


def check_size(size: int, most: int) -> None:
    """Raise a `DownloadRefusedError` for a file of more than `most` bytes."""
    if size > most:
        raise DownloadRefusedError(f"the output is larger than {most} bytes")


def open_download_session(outgoing: Outgoing) -> aiohttp.ClientSession:
    """A session for a `Downloader`, which knows no vendor's token."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=outgoing.tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_field_size=LONGEST_FIELD,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
        headers={"Accept-Encoding": "identity"},
    )


class Downloader:
    """Fetches outputs from the vendor's delivery hosts and from hosts that the operator allows, and from no others.

    What is allowed are names. That holds behind a proxy, too: no other name reaches it. Whether an allowed name leads
    to the right address is known to whoever looks it up, which is the proxy if there is one.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        allowed_hosts: frozenset[str],
        max_bytes: int,
        outgoing: Outgoing = DIRECT,
    ) -> None:
        self._session = session
        self._allowed_hosts = allowed_hosts
        self._max_bytes = max_bytes
        self._outgoing = outgoing

    async def fetch(self, url: str) -> AsyncGenerator[bytes]:
        """The file in chunks. It is whole only if the last chunk has arrived without an error.

        Raises:
            DownloadRefusedError: the host is not allowed, the file is gone, too large or in an unknown encoding.
            DownloadInterruptedError: the connection or the host failed, or the file was empty or damaged.
        """
        # Never the current one: what this yields to goes on meanwhile.
        span = begin_span(SpanName.DOWNLOAD, {})
        try:
            async for chunk in self._fetched(url, span):
                yield chunk
        except BaseException as error:  # raised again
            if span is not None and not isinstance(error, GeneratorExit):
                span.fail(error_type_of(error))
            raise
        finally:
            if span is not None:
                span.end()

    async def _fetched(self, url: str, span: Span | None) -> AsyncGenerator[bytes]:
        try:
            response = await self._open(url, span)
            async with response:
                async for chunk in self._chunks(response):
                    yield chunk
        except aiohttp.InvalidURL as error:
            raise DownloadRefusedError("the output's address is malformed") from error
        except DamagedEncodingError as error:
            raise DownloadInterruptedError(f"the output could not be decoded: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DownloadInterruptedError(f"the output could not be fetched: {type(error).__name__}") from error

    async def _open(self, url: str, span: Span | None) -> aiohttp.ClientResponse:
        for _ in range(_MOST_REDIRECTS + 1):
            self._check_host(url)
            say_asked(span, "GET", url)
            response = await self._session.get(url, allow_redirects=False, **self._outgoing.options_for(url))
            say_status(span, response.status)
            if response.status in _REDIRECTS:
                response.release()
                url = _redirected(url, response.headers.get("Location", ""))
                continue
            if response.status == 200:
                return response
            response.release()
            if response.status in _WORTH_ANOTHER_TRY:
                raise DownloadInterruptedError(f"the output's host answered {response.status}")
            raise DownloadRefusedError(f"the output's host answered {response.status}")
        raise DownloadRefusedError("the output's host redirects too often")

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        size = 0
        digests = Digests(response.headers)
        async for chunk in self._decoded(response, digests):
            size += len(chunk)
            check_size(size, self._max_bytes)
            digests.add_decoded(chunk)
            yield chunk
        if not size:
            # No model makes an empty file: the host has responded before the bytes were there.
            raise DownloadInterruptedError("the output arrived without a byte")
        if not digests.are_right():
            raise DownloadInterruptedError("the output is not what its host's hash says")

    async def _decoded(self, response: aiohttp.ClientResponse, digests: Digests) -> AsyncGenerator[bytes]:
        decoder = _decoder_of(response)
        sent = 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            # The encoded bytes are limited, too: a body may be endless and decode to nothing.
            sent += len(chunk)
            check_size(sent, self._max_bytes)
            digests.add_sent(chunk)
            for piece in decoder.pieces(chunk):
                yield piece
        if rest := decoder.rest():
            yield rest

    def _check_host(self, url: str) -> None:
        try:
            is_ours = is_allowed(url, self._allowed_hosts)
        except ValueError:
            raise DownloadRefusedError("the output's address is malformed") from None
        if not is_ours:
            raise DownloadRefusedError("the output's host is not allowed")


def _decoder_of(response: aiohttp.ClientResponse) -> Decoder:
    encoding = ", ".join(response.headers.getall("Content-Encoding", []))
    decoder = decoder_of(encoding)
    if decoder is None:
        raise DownloadRefusedError("the output is in an encoding that was not asked for")
    return decoder


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise DownloadRefusedError("the output's address is malformed") from None
