"""Which part of a conversation is sent to the model. Pure functions over messages in OpenAI's form."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from types import MappingProxyType

import orjson

from app.chat_models.protocol import BYTES_PER_TOKEN
from app.core.errors import InvalidRequestError
from app.sessions.messages import MessageRole, WireMessage

# What a model has thought, in words. It is of use only to the turn in which it was thought, and has many tokens.
_THOUGHTS = ("reasoning_content", "reasoning")
_NO_RESULT = "No result was given for this call."


@dataclass(eq=False, slots=True)
class _Exchange:
    """A message, and the results of the tool calls that it makes, by the ids of the calls."""

    message: WireMessage
    results: dict[str, WireMessage] = field(default_factory=dict)

    @property
    def call_ids(self) -> list[str]:
        return [call["id"] for call in self.message.get("tool_calls") or ()]

    @property
    def messages(self) -> list[WireMessage]:
        return [self.message, *self.results.values()]

    def size(self, part_tokens: Mapping[str, int]) -> int:
        """In bytes; a part of these types counts as so many tokens at most, whatever the size of its data."""
        return sum(_size(message, part_tokens) for message in self.messages)


def with_recent(
    history: Sequence[WireMessage],
    messages: Sequence[WireMessage],
    token_budget: int,
    *,
    first_index: int = 0,
    part_tokens: Mapping[str, int] = MappingProxyType({}),
) -> list[WireMessage]:
    """The newest messages of the history that fit the budget, then the new messages.

    Each tool result follows the message with its call, wherever it stood before. If a call has two results, the later
    one is used. A message of the history is kept whatever its size if a new message is the result of one of its calls.
    Results in the history whose call is no longer there are left out. `first_index` is the index that the first of the
    new messages has in the request; `part_tokens` are the most tokens of a part that is no text, by its type.

    Raises:
        InvalidRequestError: a new message is the result of a call that is neither in the history nor in a new message.
    """
    past, by_call_id, _ = _paired(history)
    new, _, unpaired = _paired(messages)
    late = [(_exchange_of(by_call_id, messages[index], first_index + index), messages[index]) for index in unpaired]
    sizes = {exchange: exchange.size(part_tokens) for exchange in past}
    kept = _newest(past, {exchange for exchange, _ in late}, token_budget * BYTES_PER_TOKEN, sizes)
    for exchange, result in late:
        exchange.results[result["tool_call_id"]] = result
    return _in_order([*kept, *new])


def without_old_thoughts(history: Sequence[WireMessage], messages: Sequence[WireMessage]) -> list[WireMessage]:
    """The history without what models have thought before the last message of the user.

    The new messages go on with the same turn if they are results of tools: then the model still wants its thoughts.
    """
    is_over = any(message["role"] == MessageRole.USER for message in messages)
    asked = [index for index, message in enumerate(history) if message["role"] == MessageRole.USER]
    begin = len(history) if is_over else max(asked, default=0)
    return [*map(_without_thoughts, history[:begin]), *history[begin:]]


def with_all_results(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """The messages, with a substitute for each tool result that is missing: models refuse a call without a result."""
    if not any(message.get("tool_calls") or message["role"] == MessageRole.TOOL for message in messages):
        return list(messages)
    paired, _, _ = _paired(messages)
    for exchange in paired:
        for call_id in exchange.call_ids:
            missing = {"role": "tool", "tool_call_id": call_id, "content": _NO_RESULT}
            exchange.results.setdefault(call_id, missing)
    return _in_order(paired)


def _without_thoughts(message: WireMessage) -> WireMessage:
    if not any(name in message for name in _THOUGHTS):
        return message
    return {name: value for name, value in message.items() if name not in _THOUGHTS}


def _paired(messages: Sequence[WireMessage]) -> tuple[list[_Exchange], dict[str, _Exchange], list[int]]:
    """The messages with the results of their calls.

    Returns:
        The messages; for each id of a call, the latest message with it; and the indexes of the results that belong to
        none of the messages.
    """
    paired: list[_Exchange] = []
    unpaired: list[int] = []
    # Some models use the same ids in every answer, so an id means the latest call that has it.
    by_call_id: dict[str, _Exchange] = {}
    for index, message in enumerate(messages):
        if message["role"] != MessageRole.TOOL:
            paired.append(_Exchange(message))
            if message.get("tool_calls"):
                by_call_id |= dict.fromkeys(paired[-1].call_ids, paired[-1])
        elif exchange := by_call_id.get(message["tool_call_id"]):
            exchange.results[message["tool_call_id"]] = message
        else:
            unpaired.append(index)
    return paired, by_call_id, unpaired


def _exchange_of(by_call_id: Mapping[str, _Exchange], result: WireMessage, index: int) -> _Exchange:
    """The latest exchange with the call that the result, the new message of that index, belongs to."""
    if exchange := by_call_id.get(result["tool_call_id"]):
        return exchange
    param = f"messages.{index}.tool_call_id"
    raise InvalidRequestError(f"{param}: no message before this result calls a tool under that id", param=param)


def _newest(
    past: Sequence[_Exchange], needed: set[_Exchange], limit: int, sizes: Mapping[_Exchange, int]
) -> list[_Exchange]:
    """Those that are needed, and the newest of the others that fit into the rest of `limit` bytes."""
    newest_first = [exchange for exchange in reversed(past) if exchange not in needed]
    left = limit - sum(sizes[exchange] for exchange in needed)
    fitting = takewhile(lambda size: size <= left, accumulate(sizes[exchange] for exchange in newest_first))
    kept = needed | {exchange for exchange, _ in zip(newest_first, fitting, strict=False)}
    return [exchange for exchange in past if exchange in kept]


def _size(message: WireMessage, part_tokens: Mapping[str, int]) -> int:
    content = message.get("content")
    size = len(orjson.dumps(message))
    for part in content if isinstance(content, list) else ():
        if part.get("type") in part_tokens:
            size -= max(0, len(orjson.dumps(part)) - part_tokens[part["type"]] * BYTES_PER_TOKEN)
    return size


def _in_order(conversation: Iterable[_Exchange]) -> list[WireMessage]:
    return [message for exchange in conversation for message in exchange.messages]
