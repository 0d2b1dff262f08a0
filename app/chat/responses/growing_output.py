"""The output of a response as it grows: from the deltas of a turn, or from its result alone, to items and events."""

from collections.abc import Iterator, Sequence
from typing import Final

from app.agents.runtime.events import REASONING, Delta
from app.chat.responses.open_items import Event, OpenCall, OpenMessage, OpenReasoning, OpenText, closed_item
from app.chat.responses.output import item_id_of, sealed_item, shown_logprobs, status_of
from app.chat.turns.result import TurnResult
from app.chat_models.protocol import JsonObject

_TEXTS: Final = ("content", "refusal")


class GrowingOutput:
    """The items of one response.

    The message stays open to the end, because a model may say more beside its calls. The reasoning ends where anything
    else begins; what a model thinks after that is in the last event only.

    Attributes:
        text: the part that further text belongs to, as long as nothing but the message is open.
        items: the items in the order in which they have begun, once the turn has ended.
    """

    def __init__(self, turn_id: str, *, is_summary: bool, wants_logprobs: bool) -> None:
        self.text: OpenText | None = None
        self.items: list[JsonObject] = []
        self._turn_id = turn_id
        self._is_summary = is_summary
        self._wants_logprobs = wants_logprobs
        self._begun = 0
        self._reasoning: OpenReasoning | None = None
        self._message: OpenMessage | None = None
        self._calls: list[OpenCall] = []

    def add(self, delta: Delta) -> Iterator[Event]:
        """What a delta says."""
        fields = delta.delta
        if text := fields.get(REASONING):
            yield from self._think(text)
        logprobs = shown_logprobs(delta.logprobs) if self._wants_logprobs else []
        for name in _TEXTS:
            text = fields.get(name)
            if text or (name == "content" and logprobs):
                part, begun = self._part(name)
                yield from begun
                yield part.add(text or "", logprobs)
        for piece in fields.get("tool_calls") or ():
            yield from self._call(piece)

    def end(self, result: TurnResult, sealed: str | None) -> Iterator[Event]:
        """What remains to be said once the turn has its result. `sealed` is what the model needs back."""
        message, status = result.message, status_of(result.finish_reason)
        calls: Sequence[JsonObject] = message.get("tool_calls") or ()
        texts = {name: message.get(name) or "" for name in _TEXTS}
        logprobs = shown_logprobs(result.logprobs) if self._wants_logprobs else []
        yield from self._begin_the_rest(message, texts, calls)
        items: dict[int, JsonObject] = {}
        if self._reasoning:
            thoughts = message.get(REASONING) or self._reasoning.text.text
            if not self._reasoning.is_done:
                yield from self._reasoning.end(thoughts)
            items[self._reasoning.index] = self._reasoning.whole(thoughts)
        if self._message:
            yield from self._message.end(texts, logprobs, status)
            items[self._message.index] = self._message.whole(texts, logprobs, status)
        for opened, call in zip(self._calls, calls, strict=False):
            yield from opened.end(call, status)
            items[opened.index] = opened.whole(call, status)
        if sealed:
            item = sealed_item(self._turn_id, sealed)
            yield from closed_item(self._begun, item)
            items[self._begun] = item
        self.items = [items[index] for index in sorted(items)]

    def _begin_the_rest(self, message: JsonObject, texts: JsonObject, calls: Sequence[JsonObject]) -> Iterator[Event]:
        """Begin what no delta has begun: all of it if there were none. An answer without anything is an empty text."""
        if self._reasoning is None and message.get(REASONING):
            yield from self._begin_reasoning()
        if texts["content"] or not (texts["refusal"] or calls):
            yield from self._part("content")[1]
        if texts["refusal"]:
            yield from self._part("refusal")[1]
        for index in range(len(self._calls), len(calls)):
            yield from self._begin_call(index, calls[index])

    def _think(self, text: str) -> Iterator[Event]:
        if self._reasoning is None:
            yield from self._begin_reasoning()
        if self._reasoning and not self._reasoning.is_done:
            yield self._reasoning.text.add(text)

    def _begin_reasoning(self) -> Iterator[Event]:
        item_id = item_id_of("rs", self._turn_id)
        self._reasoning = OpenReasoning(item_id, self._next_index(), is_summary=self._is_summary)
        yield from self._reasoning.begin()

    def _part(self, name: str) -> tuple[OpenText, list[Event]]:
        """The part of the message, and the events with which it begins if it is new."""
        events = list(self._end_reasoning())
        if self._message is None:
            self._message = OpenMessage(item_id_of("msg", self._turn_id), self._next_index())
            events.append(self._message.begin())
        part, begun = self._message.part(name)
        if name == "content":
            self.text = part
        return part, events + begun

    def _call(self, piece: JsonObject) -> Iterator[Event]:
        index, function = piece["index"], piece.get("function") or {}
        if index == len(self._calls):
            yield from self._begin_call(index, piece)
        if text := function.get("arguments"):
            yield self._calls[index].add(text)

    def _begin_call(self, index: int, call: JsonObject) -> Iterator[Event]:
        yield from self._end_reasoning()
        item_id = item_id_of("fc", self._turn_id, f"_{index}")
        self._calls.append(OpenCall(item_id, self._next_index(), call))
        yield self._calls[-1].begin()

    def _end_reasoning(self) -> Iterator[Event]:
        if self._reasoning and not self._reasoning.is_done and self._reasoning.text.text:
            yield from self._reasoning.end(self._reasoning.text.text)

    def _next_index(self) -> int:
        self._begun += 1
        return self._begun - 1
