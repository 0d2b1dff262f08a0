"""A turn as OpenAI `chat.completion.chunk` objects, with the fields that this server adds."""

from app.chat.openai.completion import agent_of, envelope, generated, usage_of
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat_models.protocol import JsonObject

_KIND = "chat.completion.chunk"


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
