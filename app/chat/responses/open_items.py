"""The items of a response while they are being streamed: what has been said of each, and the events that say it."""

from collections.abc import Callable, Iterator

from app.chat.responses.output import (
    call_item,
    message_item,
    reasoning_item,
    reasoning_part,
    refusal_part,
    text_part,
)
from app.chat_models.protocol import JsonObject

# The type of an event, and its fields without the number.
Event = tuple[str, JsonObject]


class OpenText:
    """A text that grows: a part of a message, or the model's reasoning.

    Args:
        kind: what its events are called.
        name: the field of the last event that has the whole text.
        place: the fields that say in all of its events where it stands.
        shown: makes the part from the text.
        extra: further fields of its events.
        part_events: what the events are called that begin and end the part.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        place: JsonObject,
        shown: Callable[[str], JsonObject],
        *,
        part_events: str = "response.content_part",
        has_logprobs: bool = False,
    ) -> None:
        self.kind = kind
        self.place = place
        self.has_logprobs = has_logprobs
        self._name = name
        self._shown = shown
        self._part_events = part_events
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def begin(self) -> Event:
        return f"{self._part_events}.added", {**self.place, "part": self._shown("")}

    def note(self, piece: str) -> None:
        """Note a piece whose event was made elsewhere."""
        self._pieces.append(piece)

    def add(self, piece: str, logprobs: list[JsonObject] | None = None) -> Event:
        self._pieces.append(piece)
        extra = {"logprobs": logprobs or []} if self.has_logprobs else {}
        return f"{self.kind}.delta", {**self.place, "delta": piece, **extra}

    def end(self, whole: str, part: JsonObject) -> Iterator[Event]:
        """What ends it: the rest of the whole text, which has to begin with what was said, and the whole."""
        said = self.text
        if whole != said and whole.startswith(said):
            yield self.add(whole[len(said) :])
        extra = {"logprobs": part.get("logprobs", [])} if self.has_logprobs else {}
        yield f"{self.kind}.done", {**self.place, self._name: whole, **extra}
        yield f"{self._part_events}.done", {**self.place, "part": part}


class OpenReasoning:
    """The item of the model's reasoning."""

    def __init__(self, item_id: str, index: int, *, is_summary: bool) -> None:
        self.index = index
        self.is_done = False
        self._id = item_id
        self._is_summary = is_summary
        place: JsonObject = {"item_id": item_id, "output_index": index}
        shown = _reasoning_part(is_summary=is_summary)
        if is_summary:
            kind, part_events = "response.reasoning_summary_text", "response.reasoning_summary_part"
            self.text = OpenText(kind, "text", {**place, "summary_index": 0}, shown, part_events=part_events)
        else:
            self.text = OpenText("response.reasoning_text", "text", {**place, "content_index": 0}, shown)

    def begin(self) -> Iterator[Event]:
        yield _added(self.index, reasoning_item(self._id, None, is_summary=self._is_summary))
        yield self.text.begin()

    def end(self, whole: str) -> Iterator[Event]:
        self.is_done = True
        yield from self.text.end(whole, reasoning_part(whole, is_summary=self._is_summary))
        yield _done(self.index, self.whole(whole))

    def whole(self, text: str) -> JsonObject:
        return reasoning_item(self._id, text, is_summary=self._is_summary)


class OpenMessage:
    """The item of what the model says: its text, a refusal, or both."""

    def __init__(self, item_id: str, index: int) -> None:
        self.index = index
        self._id = item_id
        self._parts: dict[str, OpenText] = {}

    def begin(self) -> Event:
        return _added(self.index, message_item(self._id, [], "in_progress"))

    def part(self, name: str) -> tuple[OpenText, list[Event]]:
        """The part for what a delta calls `content` or `refusal`, and the event that begins it if it is new."""
        if name in self._parts:
            return self._parts[name], []
        place = {"item_id": self._id, "output_index": self.index, "content_index": len(self._parts)}
        if name == "content":
            part = OpenText("response.output_text", "text", place, _text_part, has_logprobs=True)
        else:
            part = OpenText("response.refusal", "refusal", place, refusal_part)
        self._parts[name] = part
        return part, [part.begin()]

    def end(self, texts: JsonObject, logprobs: list[JsonObject], status: str) -> Iterator[Event]:
        for name, part in self._parts.items():
            yield from part.end(texts[name], self._whole_part(name, texts, logprobs))
        yield _done(self.index, self.whole(texts, logprobs, status))

    def whole(self, texts: JsonObject, logprobs: list[JsonObject], status: str) -> JsonObject:
        parts = [self._whole_part(name, texts, logprobs) for name in self._parts]
        return message_item(self._id, parts, status)

    def _whole_part(self, name: str, texts: JsonObject, logprobs: list[JsonObject]) -> JsonObject:
        return text_part(texts[name], logprobs) if name == "content" else refusal_part(texts[name])


class OpenCall:
    """The item of a call of one of the client's functions."""

    def __init__(self, item_id: str, index: int, call: JsonObject) -> None:
        self.index = index
        self._id = item_id
        self._call = call
        self._place = {"item_id": item_id, "output_index": index}
        self._said: list[str] = []

    def begin(self) -> Event:
        return _added(self.index, call_item(self._id, self._call, "", "in_progress"))

    def add(self, piece: str) -> Event:
        self._said.append(piece)
        return "response.function_call_arguments.delta", {**self._place, "delta": piece}

    def end(self, call: JsonObject, status: str) -> Iterator[Event]:
        arguments, said = call["function"]["arguments"], "".join(self._said)
        if arguments != said and arguments.startswith(said):
            yield self.add(arguments[len(said) :])
        whole = {"name": call["function"]["name"], "arguments": arguments}
        yield "response.function_call_arguments.done", {**self._place, **whole}
        yield _done(self.index, self.whole(call, status))

    def whole(self, call: JsonObject, status: str) -> JsonObject:
        return call_item(self._id, call, call["function"]["arguments"], status)


def closed_item(index: int, item: JsonObject) -> list[Event]:
    """The events of an item that has come as a whole."""
    return [_added(index, item), _done(index, item)]


def _added(index: int, item: JsonObject) -> Event:
    return "response.output_item.added", {"output_index": index, "item": item}


def _done(index: int, item: JsonObject) -> Event:
    return "response.output_item.done", {"output_index": index, "item": item}


def _text_part(text: str) -> JsonObject:
    return text_part(text, [])


def _reasoning_part(*, is_summary: bool) -> Callable[[str], JsonObject]:
    def shown(text: str) -> JsonObject:
        return reasoning_part(text, is_summary=is_summary)

    return shown
