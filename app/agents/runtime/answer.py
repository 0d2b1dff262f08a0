from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from app.agents.runtime.calls import Calls, readable
from app.agents.runtime.events import REASONING, Delta
from app.chat_models.protocol import JsonObject, Usage
from app.chat_models.usage import parse_usage
from app.core.errors import ProviderError

# Others make the OpenAI SDKs fail.
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
# What servers call a model's thoughts; some send them under both names at once.
_REASONING_NAMES = (REASONING, "reasoning")


class Answer:
    """One model call's answer, put together from its chunks.

    Calls of the client's tools are numbered from 0 among themselves. All others are the server's to answer, tools that
    nobody offered included, and are kept back from the client.
    """

    def __init__(self, client_tools: Container[str]) -> None:
        self._client_tools = client_tools
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_name = REASONING
        self._logprobs: list[Any] = []
        self._calls = Calls()
        self._shown_as: dict[int, int] = {}
        self.finish_reason = "stop"
        self.usage: Usage | None = None
        self.delivered_bytes = 0

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def refusal(self) -> str:
        return "".join(self._refusal)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def logprobs(self) -> JsonObject | None:
        return {"content": self._logprobs} if self._logprobs else None

    @property
    def server_calls(self) -> list[JsonObject]:
        return [call for call in self._calls.all if call["function"]["name"] not in self._client_tools]

    @property
    def client_calls(self) -> list[JsonObject]:
        return [call for call in self._calls.all if call["function"]["name"] in self._client_tools]

    def has_called(self, tool: str) -> bool:
        """Whether one of its calls is of this tool of the server's."""
        return any(call["function"]["name"] == tool for call in self.server_calls)

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
        message: JsonObject = {"role": "assistant", "content": self.text or (None if self._calls.all else "")}
        if self._refusal:
            message["refusal"] = self.refusal
        if self._calls.all:
            message["tool_calls"] = [readable(call) for call in self._calls.all]
            # Some models refuse calls of their own that come back without the thoughts behind them.
            message |= {self._reasoning_name: self.reasoning} if self._reasoning else {}
        return message

    def _take(self, choice: JsonObject) -> Delta | None:
        if reason := choice.get("finish_reason"):
            self.finish_reason = reason if reason in _FINISH_REASONS else "stop"
        delta = choice.get("delta") or {}
        shown = self._take_reasoning(delta)
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
            # A token can be a part of a character: then its text comes later.
            return Delta(shown or {"content": ""}, logprobs)
        return Delta(shown, logprobs) if shown else None

    def _take_reasoning(self, delta: JsonObject) -> JsonObject:
        """Take a piece of what the model thinks; the piece as the client is to see it, if there is any."""
        for name in _REASONING_NAMES:
            text = delta.get(name)
            if text and isinstance(text, str):
                self._reasoning.append(text)
                self._reasoning_name = name
                self.delivered_bytes += len(text.encode())
                return {REASONING: text}
        return {}

    def _take_call(self, raw: JsonObject) -> JsonObject | None:
        """Take a piece of a tool call; the piece as the client is to see it, if it is one of the client's tools."""
        piece = self._calls.take(raw)
        call = self._calls.all[piece.place]
        name = call["function"]["name"]
        self.delivered_bytes += len(piece.arguments.encode()) + (len(name.encode()) if piece.is_first else 0)
        if name not in self._client_tools:
            return None
        shown = self._shown_as.setdefault(piece.place, len(self._shown_as))
        if piece.is_first:
            return {"index": shown, **call, "function": {"name": name, "arguments": piece.arguments}}
        return {"index": shown, "function": {"arguments": piece.arguments}}


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
