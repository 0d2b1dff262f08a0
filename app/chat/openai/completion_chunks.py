"""A turn as OpenAI `chat.completion.chunk` objects, with the fields that this server adds."""

from typing import Final

from app.agents.runtime.events import Delta
from app.chat.openai.completion import agent_of, envelope, generated, usage_of
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat_models.protocol import JsonObject
from app.core import sse

_KIND: Final = "chat.completion.chunk"
# Where a delta stands in its chunk. No text in JSON can look like this: its quotes are escaped.
_EMPTY_DELTA: Final = b'"delta":{}'
_DELTA: Final = b'"delta":'


class DeltaEvents:
    """The deltas of one turn as server-sent events. What all of them have in common is written once."""

    def __init__(self, turn: TurnIdentity, *, wants_usage: bool) -> None:
        self._turn = turn
        self._wants_usage = wants_usage
        before, _, self._after = sse.frame(delta_chunk(turn, {}, wants_usage=wants_usage)).partition(_EMPTY_DELTA)
        self._before = before + _DELTA

    def event(self, delta: Delta) -> bytes:
        """The event of a delta: `delta_chunk` as a frame."""
        if delta.logprobs is None:
            return self._before + sse.one_line(delta.delta) + self._after
        return sse.frame(delta_chunk(self._turn, delta.delta, delta.logprobs, wants_usage=self._wants_usage))


def first_chunk(turn: TurnIdentity, *, wants_usage: bool) -> JsonObject:
    """The chunk with which a stream begins: the role, and the session."""
    chunk = delta_chunk(turn, {"role": "assistant", "content": ""}, wants_usage=wants_usage)
    return {**chunk, "session_id": turn.session_name, **agent_of(turn)}


def delta_chunk(
    turn: TurnIdentity, delta: JsonObject, logprobs: JsonObject | None = None, *, wants_usage: bool
) -> JsonObject:
    """The chunk with a piece of the answer."""
    return _chunk(turn, {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None}, wants_usage)


def finish_chunk(result: TurnResult, *, wants_usage: bool) -> JsonObject:
    """The chunk that says why the answer ended, and lists what was generated."""
    choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": result.finish_reason}
    return {**_chunk(result.turn, choice, wants_usage), **generated(result.contents)}


def usage_chunk(result: TurnResult) -> JsonObject:
    """The chunk that a client asks for with `include_usage`."""
    return {**envelope(result.turn, _KIND), "choices": [], "usage": usage_of(result.usage)}


def replayed_chunks(result: TurnResult, *, wants_usage: bool) -> list[JsonObject]:
    """The chunks of a stored result: the whole message as one delta, then the finish, then the usage if wanted."""
    turn = result.turn
    calls = [{**call, "index": index} for index, call in enumerate(result.message.get("tool_calls", []))]
    delta = {**result.message, "tool_calls": calls} if calls else result.message
    common = {"session_id": turn.session_name, **agent_of(turn)}
    chunks = [
        {**delta_chunk(turn, delta, result.logprobs, wants_usage=wants_usage), **common},
        {**finish_chunk(result, wants_usage=wants_usage), **common},
    ]
    return chunks + ([{**usage_chunk(result), **common}] if wants_usage else [])


def _chunk(turn: TurnIdentity, choice: JsonObject, wants_usage: bool) -> JsonObject:
    chunk = {**envelope(turn, _KIND), "choices": [choice]}
    return {**chunk, "usage": None} if wants_usage else chunk
