from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from app.agents.runtime.events import Delta
from app.chat_models.protocol import JsonObject, Usage
from app.chat_models.usage import parse_usage
from app.core.errors import ProviderError

# Others make the OpenAI SDKs fail.
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


class Answer:
    """One model call's answer, put together from its chunks.

    Calls of the client's tools are numbered from 0 among themselves. All others are the server's to answer, tools that
    nobody offered included, and are kept back from the client.
    """

    def __init__(self, client_tools: Container[str]) -> None:
        self._client_tools = client_tools
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._logprobs: list[Any] = []
        self._calls: list[JsonObject] = []
        self._shown_as: dict[int, int] = {}
        self.finish_reason = "stop"
        self.usage: Usage | None = None
        self.delivered_bytes = 0

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def logprobs(self) -> JsonObject | None:
        return {"content": self._logprobs} if self._logprobs else None

    @property
    def server_calls(self) -> list[JsonObject]:
        return [call for call in self._calls if call["function"]["name"] not in self._client_tools]

    @property
    def client_calls(self) -> list[JsonObject]:
        return [call for call in self._calls if call["function"]["name"] in self._client_tools]

    def add_completion(self, completion: JsonObject) -> None:
        """Take a whole `chat.completion`.

        Raises:
            ProviderError: it has not the form of one; it counts as not delivered.
        """
        with _one_form():
            self._take_completion(completion)
        self.usage = parse_usage(completion)

    def _take_completion(self, completion: JsonObject) -> None:
        choice = (completion.get("choices") or [{}])[0]
        message = choice.get("message") or {}
        calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or [])]
        self._take({**choice, "delta": {**message, "tool_calls": calls}})

    def add_chunk(self, chunk: JsonObject) -> Delta | None:
        """Take one `chat.completion.chunk`. What of it the client is to see, if anything.

        Raises:
            ProviderError: it has not the form of one.
        """
        self.usage = parse_usage(chunk) or self.usage
        with _one_form():
            choices = chunk.get("choices")
            return self._take(choices[0]) if choices else None

    def message(self) -> JsonObject:
        """The assistant's message with every call, as the model is to see it again."""
        # Models refuse a message of their own that has neither content nor calls: an empty answer stays a text.
        message: JsonObject = {"role": "assistant", "content": self.text or (None if self._calls else "")}
        if self._refusal:
            message["refusal"] = "".join(self._refusal)
        if self._calls:
            message["tool_calls"] = self._calls
        return message

    def _take(self, choice: JsonObject) -> Delta | None:
        if reason := choice.get("finish_reason"):
            self.finish_reason = reason if reason in _FINISH_REASONS else "stop"
        delta = choice.get("delta") or {}
        shown: JsonObject = {}
        for name, kept in (("content", self._text), ("refusal", self._refusal)):
            if text := _text(delta.get(name)):
                kept.append(text)
                self.delivered_bytes += len(text.encode())
                shown[name] = text
        if calls := [call for raw in delta.get("tool_calls") or [] if (call := self._take_call(raw))]:
            shown["tool_calls"] = calls
        logprobs = choice.get("logprobs")
        if logprobs and logprobs.get("content"):
            self._logprobs += logprobs["content"]
        return Delta(shown, logprobs) if shown else None

    def _take_call(self, raw: JsonObject) -> JsonObject | None:
        """Take a piece of a tool call; the piece as the client is to see it, if it is one of the client's tools."""
        function = raw.get("function") or {}
        place = self._place_of(raw)
        arguments = function.get("arguments") or ""
        is_new = place == len(self._calls)
        if is_new:
            named = {"name": _text(function.get("name")), "arguments": ""}
            self._calls.append({"id": _text(raw.get("id")) or f"call_{place}", "type": "function", "function": named})
            self.delivered_bytes += len(named["name"].encode())
        call = self._calls[place]
        call["function"]["arguments"] += arguments
        self.delivered_bytes += len(arguments.encode())
        if call["function"]["name"] not in self._client_tools:
            return None
        shown = self._shown_as.setdefault(place, len(self._shown_as))
        if is_new:
            return {"index": shown, **call, "function": {"name": call["function"]["name"], "arguments": arguments}}
        return {"index": shown, "function": {"arguments": arguments}}

    def _place_of(self, raw: JsonObject) -> int:
        """Which call a piece belongs to. Some servers send no index: then an id that is new begins a call."""
        index = raw.get("index")
        if isinstance(index, int) and 0 <= index <= len(self._calls):
            return index
        ids = [call["id"] for call in self._calls]
        if raw.get("id") and raw["id"] not in ids:
            return len(self._calls)
        return ids.index(raw["id"]) if raw.get("id") else max(0, len(self._calls) - 1)


@contextmanager
def _one_form() -> Iterator[None]:
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ProviderError("The model provider's answer has an unknown form") from error


def _text(value: Any) -> str:
    """The text of a message's content, which some servers send in parts."""
    if value is None or isinstance(value, str):
        return value or ""
    return "".join(part["text"] for part in value if part.get("type") == "text")
