from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from app.agents.runtime.answer_text import AnswerText
from app.agents.runtime.call_in_pieces import CallInPieces
from app.agents.runtime.events import REASONING, Delta
from app.agents.runtime.tool_calls import CallPiece, Calls, readable, with_arguments
from app.chat_models.additions import Additions, Room, additions_of
from app.chat_models.finish_reasons import CUT, finish_reason_of, is_stated
from app.chat_models.parsing import is_finished_by
from app.chat_models.protocol import MAX_ANSWER_BYTES, Chunk, JsonObject, Usage
from app.chat_models.usage import UsageReports, parse_report
from app.core.errors import ProviderError

# The names under which servers send a model's reasoning. Some send it under both at once.
_REASONING_NAMES = (REASONING, "reasoning")
_KNOWN = frozenset({"role", "content", "refusal", "tool_calls", "function_call", *_REASONING_NAMES})


class Answer:
    """The answer of one model call, assembled from its chunks.

    Calls of the client's tools are numbered from 0 among themselves. All other calls are handled by the server, even
    those of tools that do not exist, and the client does not see them.
    """

    def __init__(self, client_tools: Collection[str]) -> None:
        self._client_tools = client_tools
        self._room = Room()
        self._content = AnswerText(self._room)
        self._refusal = bytearray()
        # What the client sees as the reasoning, and the same under each name that the upstream has given to it.
        self._reasoning = bytearray()
        self._reasoning_by_name: dict[str, bytearray] = {}
        self._additions = Additions(self._room)
        self._logprobs: list[Any] = []
        self._logprobs_bytes = 0
        self._calls = Calls(self._room, client_tools)
        self._shown_as: dict[int, int] = {}
        self._reports = UsageReports()
        self._is_finished = False
        self._finish_reason = "stop"
        self.delivered_bytes = 0

    @property
    def finish_reason(self) -> str:
        """Why it ended, as one of OpenAI's reasons. An answer of which calls were left out was cut."""
        return "length" if self._calls.left_out else self._finish_reason

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
        return self._content.text

    @property
    def refusal(self) -> str:
        return self._refusal.decode()

    @property
    def reasoning(self) -> str:
        return self._reasoning.decode()

    @property
    def logprobs(self) -> JsonObject | None:
        return {"content": self._logprobs} if self._logprobs else None

    @property
    def additions(self) -> JsonObject:
        """What the upstream has added to the message."""
        return self._additions.value()

    @property
    def left_out_calls(self) -> int:
        """How many calls it had beyond those that are taken of one answer."""
        return self._calls.left_out

    @property
    def server_calls(self) -> list[JsonObject]:
        return [call for call in self._calls.all() if call["function"]["name"] not in self._client_tools]

    @property
    def client_calls(self) -> list[JsonObject]:
        """The calls of the client's tools. One without arguments has `{}`, unless the answer was cut."""
        calls = [call for call in self._calls.all() if call["function"]["name"] in self._client_tools]
        if self.finish_reason in CUT:
            return calls
        return [call if call["function"]["arguments"] else with_arguments(call, "{}") for call in calls]

    def add_chunk(self, chunk: Chunk) -> Delta | None:
        """Add one chunk. What the client may see of it, if anything.

        Raises:
            ProviderError: it does not have the form of one, or the answer has failed or is too long.
        """
        if isinstance(chunk, str):
            return self._take_text(chunk)
        with _malformed_as_provider_error():
            choices = chunk.get("choices")
            delta = self._take(choices[0]) if choices else None
        # Not if the chunk is refused: an answer that has failed is paid for by what had arrived of it.
        self._is_finished = self._is_finished or is_finished_by(chunk)
        self._reports.add(parse_report(chunk), is_finished=self._is_finished)
        self._check_length()
        return delta

    def rest(self) -> Delta | None:
        """What the client may see once the answer is complete, if it calls a tool of the client's.

        Only then is it known that what the upstream has added to the message belongs to the client's call.
        """
        calls = [shown for position, call in self._calls.each() if (shown := self._rest_of(position, call))]
        if not self._shown_as:
            return None
        delta = self.additions
        if calls:
            delta = {**delta, "tool_calls": calls}
        return Delta(delta) if delta else None

    def _rest_of(self, position: int, call: CallInPieces) -> JsonObject | None:
        """What the client has not seen of a complete call, if it calls a tool of the client's."""
        if call.name not in self._client_tools:
            return None
        is_bare = not call.arguments and (call.says_it_has_none or self.finish_reason not in CUT)
        if position not in self._shown_as:
            return self._begun(position, with_arguments(call.whole(), "{}") if is_bare else call.whole())
        return {"index": self._shown_as[position], "function": {"arguments": "{}"}} if is_bare else None

    def message(self) -> JsonObject:
        """The assistant's message with every call, for the model to read in its next call."""
        # Models refuse an assistant message with neither content nor calls, so the content of an empty answer is "".
        calls = [readable(call) for call in self._calls.all()]
        message: JsonObject = {"role": "assistant", "content": self.text or (None if calls else "")}
        if self._refusal:
            message["refusal"] = self.refusal
        if calls:
            # Some models refuse their own calls if they come back without what led to them: reasoning, signatures.
            message |= {"content": self._content.as_it_came() or None, "tool_calls": calls}
            message |= {name: text.decode() for name, text in self._reasoning_by_name.items()}
            message |= self.additions
        return message

    def _take_text(self, text: str) -> Delta:
        """Add a chunk that has nothing but this text."""
        self.delivered_bytes += self._content.add_text(text)
        self._check_length()
        return Delta({"content": text})

    def _check_length(self) -> None:
        if self.delivered_bytes + self._logprobs_bytes > MAX_ANSWER_BYTES:
            raise ProviderError("The model provider sent an answer that is too long")

    def _take(self, choice: JsonObject) -> Delta | None:
        # A chunk that ends the answer with an error has nothing else to say.
        if is_stated(reason := choice.get("finish_reason")) and self._finish_reason not in CUT:
            self._finish_reason = finish_reason_of(reason)
        delta = choice.get("delta") or {}
        # First, because a call may have an unknown form. Then nothing of this piece of the answer has been delivered.
        pieces = self._calls.take(_calls_in(delta))
        self.delivered_bytes += sum(piece.size for piece in pieces)
        calls = [shown for piece in pieces if (shown := self._shown_of(piece))]
        self._additions.add(additions_of(delta, _KNOWN) | _reasoning_objects_in(delta))
        shown = self._take_reasoning(delta) | self._take_texts(delta)
        if calls:
            shown["tool_calls"] = calls
        logprobs = choice.get("logprobs") if isinstance(choice.get("logprobs"), dict) else None
        if logprobs and logprobs.get("content"):
            self._logprobs += logprobs["content"]
            self._logprobs_bytes += len(orjson.dumps(logprobs["content"]))
            # A token may be only a part of a character. Its text comes with a later chunk.
            return Delta(shown or {"content": ""}, logprobs)
        return Delta(shown, logprobs) if shown else None

    def _take_texts(self, delta: JsonObject) -> JsonObject:
        """Add the delta's pieces of content and of a refusal. The pieces, if there are any."""
        shown = {}
        if content := self._content.add(delta.get("content")):
            shown["content"] = content
        refusal = delta.get("refusal") or ""
        if refusal:
            shown["refusal"] = refusal
            self._refusal += refusal.encode()
        self.delivered_bytes += sum(len(text.encode()) for text in shown.values())
        return shown

    def _take_reasoning(self, delta: JsonObject) -> JsonObject:
        """Add the delta's piece of reasoning. The piece as the client may see it, if there is one."""
        shown: JsonObject = {}
        for name in _REASONING_NAMES:
            text = delta.get(name)
            if not text or not isinstance(text, str):
                continue
            self._reasoning_by_name.setdefault(name, bytearray()).extend(text.encode())
            if not shown:
                shown[REASONING] = text
                self._reasoning += text.encode()
                self.delivered_bytes += len(text.encode())
        return shown

    def _shown_of(self, piece: CallPiece) -> JsonObject | None:
        """The piece of a call as the client may see it, if the call is known to be of one of the client's tools."""
        if piece.position not in self._shown_as:
            is_known = piece.call.name in self._client_tools and self._calls.is_named(piece.call)
            return self._begun(piece.position, piece.call.so_far()) if is_known else None
        function = {"arguments": piece.arguments, **piece.function_additions}
        return {"index": self._shown_as[piece.position], "function": function, **piece.additions}

    def _begun(self, position: int, call: JsonObject) -> JsonObject:
        """The call as the client sees it for the first time."""
        self._shown_as[position] = len(self._shown_as)
        return {"index": self._shown_as[position], **call}


def _reasoning_objects_in(delta: JsonObject) -> JsonObject:
    """The reasoning of servers that send it as an object or in parts. It is kept for the model like what they add."""
    return {name: delta[name] for name in _REASONING_NAMES if delta.get(name) and isinstance(delta[name], dict | list)}


def _calls_in(delta: JsonObject) -> list[JsonObject]:
    """The pieces of calls in a delta. Old servers know only one call, which has no id."""
    calls: list[JsonObject] = delta.get("tool_calls") or []
    function = delta.get("function_call")
    return calls if calls or not function else [{"index": 0, "function": function}]


@contextmanager
def _malformed_as_provider_error() -> Iterator[None]:
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ProviderError("The model provider's answer has an unknown form") from error
