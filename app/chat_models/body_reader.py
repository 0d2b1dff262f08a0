"""The chunks of an answer, read from the body of a response. Its first byte says in what form it comes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial

import aiohttp

from app.chat_models.broken_text import BrokenTexts
from app.chat_models.parsing import (
    UpstreamReportedError,
    check_finish,
    is_finished_by,
    parse_chunk,
    parse_completion,
    says_something,
)
from app.chat_models.patience import in_time
from app.chat_models.protocol import MAX_ANSWER_BYTES, JsonObject
from app.chat_models.sse_reader import DONE, SseReader
from app.core.errors import ProviderError

# Of a stream as it is sent. Most of it is the same in every chunk.
_MAX_STREAM_BYTES = 16 * MAX_ANSWER_BYTES

_LAST_SECONDS = 30.0
_DRAIN_SECONDS = 0.25
_BLANK = b" \t\r\n\xef\xbb\xbf"
_FAILURES = (aiohttp.ClientError, TimeoutError)

# The data of events that have come at once, and whether the last one was ended; only the end of a body may cut one.
_Batch = tuple[list[bytes], bool]


@dataclass
class _Progress:
    """How far an answer has come. `usage` is the last report, if nothing of the answer has come after it."""

    is_finished: bool = False
    is_done: bool = False
    has_begun: bool = False
    usage: JsonObject | None = None

    def note(self, chunk: JsonObject) -> None:
        """Note what the next chunk has."""
        self.is_finished = self.is_finished or is_finished_by(chunk)
        if self.has_begun and self.usage is None and not chunk.get("usage"):
            return
        has_said = says_something(chunk)
        self.has_begun = self.has_begun or has_said
        self.usage = chunk.get("usage") or (None if has_said else self.usage)


async def whole_answer_of(content: aiohttp.StreamReader) -> list[JsonObject]:
    """All chunks of an answer that nobody sees before its end. The errors are those of `chunks_of`.

    Raises:
        ProviderError: also if it did not end well.
    """
    async with aclosing(chunks_of(content, most_bytes=MAX_ANSWER_BYTES)) as chunks:
        answer = [chunk async for chunk in chunks]
    for chunk in answer:
        check_finish(chunk)
    return answer


async def chunks_of(
    content: aiohttp.StreamReader,
    first_until: float | None = None,
    between: float | None = None,
    *,
    most_bytes: int = _MAX_STREAM_BYTES,
) -> AsyncGenerator[JsonObject]:
    """The chunks of a stream of events; of a body that is a whole completion, the one chunk that has all of it.

    A stream without a `finish_reason` has ended if it says so by `[DONE]`, after it has said something.

    Args:
        content: the body.
        first_until: when the first event has to be there, on the loop's clock.
        between: how long each further event may take, in seconds.
        most_bytes: how long a stream may be. A document has a limit of its own.

    Raises:
        UpstreamReportedError: it contains an error.
        ProviderError: it is neither, or ends before the answer does, or is too long.
        aiohttp.ClientError, TimeoutError: the connection was lost before the answer was whole.
    """
    async with asyncio.timeout_at(first_until):
        begin = await _beginning(content)
    if begin.lstrip(_BLANK)[:1] in {b"{", b"["}:
        async with asyncio.timeout_at(first_until):
            rest = await read_up_to(content, MAX_ANSWER_BYTES)
        yield parse_completion(begin + rest)
        return
    progress = _Progress()
    timely = in_time(_batches(begin, content, most_bytes), first_until, partial(_patience, progress, between))
    async with aclosing(_chunks(timely, content, progress)) as chunks:
        try:
            async for chunk in chunks:
                yield chunk
        except _FAILURES:
            # After a finish_reason only the usage can be missing. The answer itself is complete.
            if not progress.is_finished:
                raise
    if not progress.is_finished:
        yield _finish(progress)


async def read_up_to(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body, cut off soon after `limit` bytes. If it was cut off, it is not valid JSON any more."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > limit:
            break
    return bytes(body)


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The first bytes of the body that are not all blank: some servers send blank lines while a model thinks."""
    while piece := await content.readany():
        if piece.lstrip(_BLANK):
            return piece
    return b""


async def _chunks(
    batches: AsyncGenerator[_Batch], content: aiohttp.StreamReader, progress: _Progress
) -> AsyncGenerator[JsonObject]:
    """The chunk of each event, up to `[DONE]` or the end of the body."""
    broken = BrokenTexts()
    async with aclosing(batches):
        async for batch, is_ended in batches:
            for data in batch:
                if data.strip() == DONE:
                    progress.is_done = True
                    if is_ended:
                        await _drain(content)
                    return
                try:
                    chunk = _parsed(data, broken, is_ended=is_ended)
                except UpstreamReportedError as reported:
                    reported.has_begun = progress.has_begun
                    raise
                if chunk:
                    progress.note(chunk)
                    yield chunk


def _parsed(data: bytes, broken: BrokenTexts, *, is_ended: bool) -> JsonObject | None:
    """The chunk of an event; None if the event was cut off by the end of the body."""
    try:
        return parse_chunk(data, broken)
    except ProviderError:
        if is_ended:
            raise
        return None


def _finish(progress: _Progress) -> JsonObject:
    """The last chunk of an answer that has ended without a `finish_reason`.

    Raises:
        ProviderError: it has not ended.
    """
    if not (progress.is_done and progress.has_begun):
        raise ProviderError("The model provider ended its answer before it was finished")
    # The usage again, as it is that of the whole answer.
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": progress.usage}


def _patience(progress: _Progress, between: float | None) -> float | None:
    """How long the next event may take. After a `finish_reason` only the usage and `[DONE]` can come."""
    return min(between or _LAST_SECONDS, _LAST_SECONDS) if progress.is_finished else between


async def _batches(begin: bytes, content: aiohttp.StreamReader, most_bytes: int) -> AsyncGenerator[_Batch]:
    """The data of the events that each piece of the body completes, if it completes any."""
    reader, size = SseReader(), 0
    failure: Exception | None = None
    try:
        piece = begin
        while piece:
            size += len(piece)
            batch, refusal = _events_in(reader, piece)
            if batch:
                yield batch, True
            if refusal or size > most_bytes:
                raise refusal or ProviderError("The model provider sent an answer that is too long")
            piece = await content.readany()
    except _FAILURES as error:
        failure = error
    if rest := [*reader.rest()]:
        yield rest, False
    if failure is not None:
        raise failure


def _events_in(reader: SseReader, piece: bytes) -> tuple[list[bytes], ProviderError | None]:
    """The data of the events that the piece completes, up to one that is refused, and why that one is."""
    batch: list[bytes] = []
    try:
        for data in reader.feed(piece):
            batch.append(data)  # noqa: PERF402 - what came before an error is kept
    except ProviderError as error:
        return batch, error
    return batch, None


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read to the end of the body, right after `[DONE]`. Only then can the connection be used again."""
    with suppress(*_FAILURES):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await content.readany():
                pass
