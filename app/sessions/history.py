"""Which part of a conversation goes to the model: pure functions over messages in wire form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, takewhile

import orjson

from app.core.errors import InvalidRequestError
from app.sessions.service import WireMessage

# Text is about four bytes of UTF-8 to a token.
_BYTES_PER_TOKEN = 4
_NO_RESULT = "No result was given for this call."


@dataclass(eq=False)
class _Said:
    """A message that is no result, and behind it the results of its tool calls by their ids."""

    message: WireMessage
    results: dict[str, WireMessage] = field(default_factory=dict)

    @property
    def call_ids(self) -> list[str]:
        return [call["id"] for call in self.message.get("tool_calls") or ()]

    @property
    def messages(self) -> list[WireMessage]:
        return [self.message, *self.results.values()]

    @property
    def size(self) -> int:
        return sum(len(orjson.dumps(message)) for message in self.messages)


def with_recent(
    history: Sequence[WireMessage], messages: Sequence[WireMessage], token_budget: int
) -> list[WireMessage]:
    """The new messages, behind the newest of the history that fit the budget, oldest first.

    Every result stands right behind its call, wherever it came; of two for one call, the later counts. A call of the
    history that the new messages answer is kept whatever its size, and a result whose call is no longer in the
    history is left out.

    Raises:
        InvalidRequestError: a new message is the result of a call that neither they nor the history have.
    """
    remembered, _ = _paired(history)
    new, others = _paired(messages)
    late = [(_call_of(remembered, messages[place], place), messages[place]) for place in others]
    kept = _newest(remembered, {said for said, _ in late}, token_budget * _BYTES_PER_TOKEN)
    for said, result in late:
        said.results[result["tool_call_id"]] = result
    return _in_order([*kept, *new])


def with_all_results(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """The messages, with a word for every tool call whose result never came: models refuse a call without one."""
    paired, _ = _paired(messages)
    for said in paired:
        for call_id in said.call_ids:
            missing = {"role": "tool", "tool_call_id": call_id, "content": _NO_RESULT}
            said.results.setdefault(call_id, missing)
    return _in_order(paired)


def _paired(messages: Sequence[WireMessage]) -> tuple[list[_Said], list[int]]:
    """The messages with the results of their calls, and the places of the results that are of none of these."""
    paired: list[_Said] = []
    others: list[int] = []
    # Some models number their calls anew in each answer: the newest call of an id is meant.
    callers: dict[str, _Said] = {}
    for place, message in enumerate(messages):
        if message["role"] != "tool":
            paired.append(_Said(message))
            callers |= dict.fromkeys(paired[-1].call_ids, paired[-1])
        elif caller := callers.get(message["tool_call_id"]):
            caller.results[message["tool_call_id"]] = message
        else:
            others.append(place)
    return paired, others


def _call_of(remembered: Sequence[_Said], result: WireMessage, place: int) -> _Said:
    for said in reversed(remembered):
        if result["tool_call_id"] in said.call_ids:
            return said
    param = f"messages.{place}.tool_call_id"
    raise InvalidRequestError(f"{param}: no message before this result calls a tool under that id", param=param)


def _newest(remembered: Sequence[_Said], answered: set[_Said], limit: int) -> list[_Said]:
    """Those that are answered now, and of the others the newest that fit beside them into so many bytes."""
    newest_first = [said for said in reversed(remembered) if said not in answered]
    left = limit - sum(said.size for said in answered)
    fitting = takewhile(lambda size: size <= left, accumulate(said.size for said in newest_first))
    kept = answered | {said for said, _ in zip(newest_first, fitting, strict=False)}
    return [said for said in remembered if said in kept]


def _in_order(conversation: Iterable[_Said]) -> list[WireMessage]:
    return [message for said in conversation for message in said.messages]
