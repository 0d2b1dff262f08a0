from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from app.agents.runtime.events import REASONING, Delta
from app.agents.runtime.tool_calls import Calls, readable
from app.chat_models.parsing import is_finished_by
from app.chat_models.protocol import JsonObject, Usage
from app.chat_models.usage import UsageReports, parse_usage
from app.core.errors import ProviderError

# The OpenAI SDKs fail on any other.
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
# Other servers' words for an answer that reached its limit. As `stop` it would pass for a whole one.
_LENGTH = {"model_length", "max_tokens", "MAX_TOKENS", "max_output_tokens"}
# The names under which servers send a model's reasoning. Some send it under both at once.
_REASONING_NAMES = (REASONING, "reasoning")


class Answer:
    """The answer of one model call, assembled from its chunks.

    Calls of the client's tools are numbered from 0 among themselves. All other calls are handled by the server, even
    those of tools that do not exist, and the client does not see them.
    """

    def __init__(self, client_tools: Collection[str]) -> None:
        self._client_tools = client_tools
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_name = REASONING
        self._logprobs: list[Any] = []
        self._calls = Calls()
        self._shown_as: dict[int, int] = {}
        self._reports = UsageReports()
        self._is_finished = False
        self.finish_reason = "stop"
        self.delivered_bytes = 0

    @property
    def has_client_tools(self) -> bool:
        """Whether the client has offered tools of its own."""
        return bool(self._client_tools)

    @property
    def usage(self) -> Usage | None:
        return self._reports.best

    @property
    def is_usage_final(self) -> bool:
        return self._reports.is_final

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

    def add_completion(self, completion: JsonObject) -> None:
        """Add a whole `chat.completion`.

        Raises:
            ProviderError: it does not have the form of one. Its usage is not recorded then.
        """
        with _malformed_as_provider_error():
            self._take_completion(completion)
        self._reports.add(parse_usage(completion), is_finished=True)

    def _take_completion(self, completion: JsonObject) -> None:
        choice = (completion.get("choices") or [{}])[0]
        message = choice.get("message") or {}
        calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or [])]
        self._take({**choice, "delta": {**message, "tool_calls": calls}})

    def add_chunk(self, chunk: JsonObject) -> Delta | None:
        """Add one `chat.completion.chunk`. What the client may see of it, if anything.

        Raises:
            ProviderError: it does not have the form of one.
        """
        self._is_finished = self._is_finished or is_finished_by(chunk)
        self._reports.add(parse_usage(chunk), is_finished=self._is_finished)
        with _malformed_as_provider_error():
            choices = chunk.get("choices")
            return self._take(choices[0]) if choices else None

    def message(self) -> JsonObject:
        """The assistant's message with every call, for the model to read in its next call."""
        # Models refuse an assistant message with neither content nor calls, so the content of an empty answer is "".
        message: JsonObject = {"role": "assistant", "content": self.text or (None if self._calls.all else "")}
        if self._refusal:
            message["refusal"] = self.refusal
        if self._calls.all:
            message["tool_calls"] = [readable(call) for call in self._calls.all]
            # Some models refuse their own calls if they come back without the reasoning that led to them.
            message |= {self._reasoning_name: self.reasoning} if self._reasoning else {}
        return message

    def _take(self, choice: JsonObject) -> Delta | None:
        if reason := choice.get("finish_reason"):
            self.finish_reason = _finish_reason(reason)
        delta = choice.get("delta") or {}
        # First, because a call may have an unknown form. Then nothing of this piece of the answer has been delivered.
        calls = [call for raw in delta.get("tool_calls") or [] if (call := self._take_call(raw))]
        shown = self._take_reasoning(delta)
        for name, kept in (("content", self._text), ("refusal", self._refusal)):
            if text := _text(delta.get(name)):
                kept.append(text)
                self.delivered_bytes += len(text.encode())
                shown[name] = text
        if calls:
            shown["tool_calls"] = calls
        logprobs = choice.get("logprobs")
        if logprobs and logprobs.get("content"):
            self._logprobs += logprobs["content"]
            # A token may be only a part of a character. Its text comes with a later chunk.
            return Delta(shown or {"content": ""}, logprobs)
        return Delta(shown, logprobs) if shown else None

    def _take_reasoning(self, delta: JsonObject) -> JsonObject:
        """Add the delta's piece of reasoning. The piece as the client may see it, if there is one."""
        for name in _REASONING_NAMES:
            text = delta.get(name)
            if text and isinstance(text, str):
                self._reasoning.append(text)
                self._reasoning_name = name
                self.delivered_bytes += len(text.encode())
                return {REASONING: text}
        return {}

    def _take_call(self, raw: JsonObject) -> JsonObject | None:
        """Add a piece of a tool call. The piece as the client may see it, if the tool is one of the client's."""
        piece = self._calls.take(raw)
        call = self._calls.all[piece.position]
        name = call["function"]["name"]
        self.delivered_bytes += len(piece.arguments.encode()) + (len(name.encode()) if piece.is_first else 0)
        if name not in self._client_tools:
            return None
        shown = self._shown_as.setdefault(piece.position, len(self._shown_as))
        if piece.is_first:
            return {"index": shown, **call, "function": {"name": name, "arguments": piece.arguments}}
        return {"index": shown, "function": {"arguments": piece.arguments}}


@contextmanager
def _malformed_as_provider_error() -> Iterator[None]:
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ProviderError("The model provider's answer has an unknown form") from error


def _finish_reason(reason: Any) -> str:
    """The reason as one of OpenAI's."""
    if reason in _LENGTH:
        return "length"
    return str(reason) if reason in _FINISH_REASONS else "stop"


def _text(value: Any) -> str:
    """The text of a message's content. Some servers send it as a list of parts."""
    if value is None or isinstance(value, str):
        return value or ""
    return "".join(part["text"] for part in value if part.get("type") == "text")
