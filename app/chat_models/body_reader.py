"""The chunks of an answer, read from the body of a response. Its first byte says in what form it comes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from app.chat_models.parsing import (
    ChunkParser,
    UpstreamReportedError,
    check_finish,
    is_finished_by,
    parse_completion,
    says_something,
)
from app.chat_models.patience import from_now
from app.chat_models.protocol import MAX_ANSWER_BYTES, Chunk, JsonObject, TakeChunks
from app.chat_models.sse_reader import DONE, SseReader
from app.chat_models.text_chunks import TextPattern, only_text_of
from app.core.errors import ProviderError

# Of a stream as it is sent. Most of it is the same in every chunk.
_MAX_STREAM_BYTES = 16 * MAX_ANSWER_BYTES

_LAST_SECONDS = 30.0
_DRAIN_SECONDS = 0.25
_BLANK = b" \t\r\n\xef\xbb\xbf"
_FAILURES = (aiohttp.ClientError, TimeoutError)


@dataclass
class _Progress:
    """How far an answer has come. `usage` is the last report, if nothing of the answer has come after it."""

    is_finished: bool = False
    is_done: bool = False
    has_begun: bool = False
    usage: JsonObject | None = None

    def note_text(self) -> None:
        """Note that the next chunk has only text."""
        self.has_begun, self.usage = True, None

    def note(self, chunk: JsonObject) -> None:
        """Note what the next chunk has."""
        self.is_finished = self.is_finished or is_finished_by(chunk)
        if self.has_begun and self.usage is None and not chunk.get("usage"):
            return
        has_said = says_something(chunk)
        self.has_begun = self.has_begun or has_said
        self.usage = chunk.get("usage") or (None if has_said else self.usage)


async def whole_answer_of(content: aiohttp.StreamReader) -> list[Chunk]:
    """All chunks of an answer that nobody sees before its end. The errors are those of `read_chunks`.

    Raises:
        ProviderError: also if it did not end well.
    """
    answer: list[Chunk] = []

    async def take(chunks: Sequence[Chunk]) -> None:
        answer.extend(chunks)

    await read_chunks(content, take, most_bytes=MAX_ANSWER_BYTES)
    for chunk in answer:
        if not isinstance(chunk, str):
            check_finish(chunk)
    return answer


async def read_chunks(
    content: aiohttp.StreamReader,
    take: TakeChunks,
    first_until: float | None = None,
    between: float | None = None,
    *,
    most_bytes: int = _MAX_STREAM_BYTES,
) -> None:
    """Hand on the chunks of a stream of events; of a body that is a whole completion, the one that has all of it.

    A stream without a `finish_reason` has ended if it says so by `[DONE]`, after it has said something. What comes
    before an error is handed on before the error is raised.

    Args:
        content: the body.
        take: takes the chunks.
        first_until: when the first event has to be there, on the loop's clock.
        between: how long each further event may take, in seconds. The time that `take` takes does not count.
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
        await take([parse_completion(begin + rest)])
        return
    stream = _Stream(content, take, between, most_bytes)
    try:
        await stream.read(begin, first_until)
    except _FAILURES:
        # After a finish_reason only the usage can be missing. The answer itself is complete.
        if not stream.progress.is_finished:
            raise
    if not stream.progress.is_finished:
        await take([_finish(stream.progress)])


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


class _Stream:
    """A body that is a stream of events. All that one piece of it completes is handed on together."""

    def __init__(self, content: aiohttp.StreamReader, take: TakeChunks, between: float | None, most_bytes: int) -> None:
        self.progress = _Progress()
        self._content = content
        self._take = take
        self._between = between
        self._most_bytes = most_bytes
        self._events = SseReader()
        self._chunks = ChunkParser()
        self._pattern = TextPattern()

    async def read(self, begin: bytes, until: float | None) -> None:
        """Read from the first piece on to `[DONE]` or the end of the body. The first event has to come by `until`."""
        failure: Exception | None = None
        piece, size = begin, 0
        while piece:
            size += len(piece)
            batch, refusal = _events_in(self._events, piece)
            if batch:
                await self._pass_on(batch, is_ended=True)
                if self.progress.is_done:
                    await _drain(self._content)
                    return
                until = from_now(self._patience())
            if refusal or size > self._most_bytes:
                raise refusal or ProviderError("The model provider sent an answer that is too long")
            try:
                piece = await self._next_piece(until)
            except _FAILURES as error:
                failure = error
                break
        if rest := [*self._events.rest()]:
            await self._pass_on(rest, is_ended=False)
        if failure is not None and not self.progress.is_done:
            raise failure

    async def _next_piece(self, until: float | None) -> bytes:
        if until is None:
            return await self._content.readany()
        async with asyncio.timeout_at(until):
            return await self._content.readany()

    async def _pass_on(self, batch: Sequence[bytes], *, is_ended: bool) -> None:
        """Hand on the chunk of each event, up to `[DONE]`. `is_ended`: not even the last event can have been cut."""
        chunks: list[Chunk] = []
        try:
            for data in batch:
                if data.strip() == DONE:
                    self.progress.is_done = True
                    break
                if chunk := self._text_of(data) or self._parsed(data, is_ended=is_ended):
                    chunks.append(chunk)
        except UpstreamReportedError as reported:
            reported.has_begun = self.progress.has_begun
            raise
        finally:
            if chunks:
                await self._take(chunks)

    def _text_of(self, data: bytes) -> str | None:
        """The text of a chunk that is like those before it, and has nothing else."""
        text = None if self._chunks.is_in_text else self._pattern.text_of(data)
        if text is not None:
            self.progress.note_text()
        return text

    def _parsed(self, data: bytes, *, is_ended: bool) -> Chunk | None:
        """The chunk of an event; None if it was cut off by the end of the body, or comes too late."""
        try:
            chunk = self._chunks.parse(data)
        except ProviderError:
            # What comes after a finish_reason can spoil nothing: the answer is whole.
            if is_ended and not self.progress.is_finished:
                raise
            return None
        self.progress.note(chunk)
        text = only_text_of(chunk)
        if text is None:
            return chunk
        self._pattern.learn(data, text)
        return text

    def _patience(self) -> float | None:
        """How long the next event may take. After a `finish_reason` only the usage and `[DONE]` can come."""
        between = self._between
        return min(between or _LAST_SECONDS, _LAST_SECONDS) if self.progress.is_finished else between


def _finish(progress: _Progress) -> JsonObject:
    """The last chunk of an answer that has ended without a `finish_reason`.

    Raises:
        ProviderError: it has not ended.
    """
    if not (progress.is_done and progress.has_begun):
        raise ProviderError("The model provider ended its answer before it was finished")
    # The usage again, as it is that of the whole answer.
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": progress.usage}


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
