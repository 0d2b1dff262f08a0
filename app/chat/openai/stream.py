from collections.abc import AsyncGenerator

from app.chat.openai import completion_chunks
from app.chat.openai.completion_chunks import DeltaEvents
from app.chat.turns.result import TurnResult
from app.chat.turns.run import RunningTurn
from app.core import sse
from app.core.errors import AppError


async def stream_turn(running: RunningTurn, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    """A turn as server-sent events: the role, the deltas, then a finish or an error, then `[DONE]`.

    Events that are there at the same time come as one piece.
    """
    yield sse.frame(completion_chunks.first_chunk(running.turn.identity, wants_usage=wants_usage))
    async for events in _deltas(running, wants_usage=wants_usage):
        yield events
    try:
        result = await running.result()
    except AppError as error:
        yield sse.frame(error.body()) + sse.DONE
    else:
        yield _end(result, wants_usage=wants_usage)


async def stream_replay(result: TurnResult, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    """A stored result as server-sent events."""
    chunks = completion_chunks.replayed_chunks(result, wants_usage=wants_usage)
    yield b"".join([*map(sse.frame, chunks), sse.DONE])


async def _deltas(running: RunningTurn, *, wants_usage: bool) -> AsyncGenerator[bytes]:
    event_of = DeltaEvents(running.turn.identity, wants_usage=wants_usage).event
    is_over = False
    while not is_over:
        deltas, is_over = await running.deltas.next_ones(sse.KEEP_ALIVE_SECONDS)
        if deltas:
            yield b"".join(map(event_of, deltas))
        elif not is_over:
            yield sse.KEEP_ALIVE


def _end(result: TurnResult, *, wants_usage: bool) -> bytes:
    """What ends the stream of a turn with an answer."""
    chunks = [completion_chunks.finish_chunk(result, wants_usage=wants_usage)]
    if result.links:
        delta = {"content": result.links}
        chunks.insert(0, completion_chunks.delta_chunk(result.turn, delta, wants_usage=wants_usage))
    if wants_usage:
        chunks.append(completion_chunks.usage_chunk(result))
    return b"".join([*map(sse.frame, chunks), sse.DONE])
