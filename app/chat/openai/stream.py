import asyncio
from collections.abc import AsyncGenerator

from app.chat.openai import completion as replies
from app.chat.turns.run import RunningTurn
from app.chat_models.protocol import JsonObject
from app.content.urls import FileUrls
from app.core import sse
from app.core.errors import AppError


async def stream_turn(running: RunningTurn, urls: FileUrls, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    """A turn as server-sent events: the role, the deltas, then a finish or an error, then `[DONE]`."""
    turn = running.turn
    yield sse.frame(replies.first_chunk(turn, wants_usage=wants_usage))
    async for event in _deltas(running, wants_usage=wants_usage):
        yield event
    try:
        result = await running.result()
    except AppError as error:
        yield sse.frame(error.body())
    else:
        yield sse.frame(replies.finish_chunk(turn, result, urls, wants_usage=wants_usage))
        if wants_usage:
            yield sse.frame(replies.usage_chunk(turn, result))
    yield sse.DONE


async def stream_replay(completion: JsonObject, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    """The stored answer of a turn as server-sent events."""
    for chunk in replies.replayed_chunks(completion, wants_usage=wants_usage):
        yield sse.frame(chunk)
    yield sse.DONE


async def _deltas(running: RunningTurn, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    while True:
        try:
            async with asyncio.timeout(sse.KEEP_ALIVE_SECONDS):
                delta = await running.deltas.next()
        except TimeoutError:
            yield sse.KEEP_ALIVE
            continue
        if delta is None:
            return
        chunk = replies.delta_chunk(running.turn, delta.delta, delta.logprobs, wants_usage=wants_usage)
        yield sse.frame(chunk)
