import asyncio
from collections.abc import AsyncGenerator

from app.chat.openai import completion_chunks
from app.chat.turns.result import TurnResult
from app.chat.turns.run import RunningTurn
from app.core import sse
from app.core.errors import AppError


async def stream_turn(running: RunningTurn, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    """A turn as server-sent events: the role, the deltas, then a finish or an error, then `[DONE]`."""
    yield sse.frame(completion_chunks.first_chunk(running.turn.identity, wants_usage=wants_usage))
    async for event in _deltas(running, wants_usage=wants_usage):
        yield event
    try:
        result = await running.result()
    except AppError as error:
        yield sse.frame(error.body())
    else:
        if result.links:
            delta = {"content": result.links}
            yield sse.frame(completion_chunks.delta_chunk(result.turn, delta, wants_usage=wants_usage))
        yield sse.frame(completion_chunks.finish_chunk(result, wants_usage=wants_usage))
        if wants_usage:
            yield sse.frame(completion_chunks.usage_chunk(result))
    yield sse.DONE


async def stream_replay(result: TurnResult, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    """A stored result as server-sent events."""
    for chunk in completion_chunks.replayed_chunks(result, wants_usage=wants_usage):
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
        chunk = completion_chunks.delta_chunk(
            running.turn.identity, delta.delta, delta.logprobs, wants_usage=wants_usage
        )
        yield sse.frame(chunk)
