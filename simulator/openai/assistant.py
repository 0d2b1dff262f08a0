"""A small deterministic assistant: the same conversation always gets the same answer."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from simulator.faults.chat import ChatFault
from simulator.media.scene import NOTICE
from simulator.openai.commands import next_command
from simulator.openai.conversation import image_count, last_words, latest_results
from simulator.openai.errors import invalid_schema
from simulator.openai.prompted import prompted_schema
from simulator.openai.requests import ChatRequest
from simulator.openai.schema import InvalidSchemaError, instance
from simulator.openai.tools import ToolCall, choose_calls, is_forced, made_call

CHARACTERS_PER_TOKEN = 4

_MOST_COUNTED = 10_000
_REPEAT = re.compile(r"repeat after me:\s*(?P<text>.*)", re.IGNORECASE | re.DOTALL)
_COUNT = re.compile(r"\bcount to (?P<number>\d{1,9})", re.IGNORECASE)
_PREFACE = re.compile(r"\bfirst say \"(?P<text>[^\"]+)\"", re.IGNORECASE)
_AGAIN = re.compile(r"\bagain\b", re.IGNORECASE)
_LINK = re.compile(r"https?://[^\s\"'<>)\]\\]+")
_PICTURE = re.compile(r"\.(png|jpe?g|webp|gif|svg)(\?.*)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the assistant answers: text, or calls.

    Attributes:
        content: The text; None if it only calls tools.
        calls: The calls.
        finish_reason: One of OpenAI's.
    """

    content: str | None
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"


def reply_to(request: ChatRequest) -> Reply:
    """Answer a request, within its limits and with its faults of content.

    Raises:
        ApiError: 400, it asks for something in a form that is no JSON schema.
    """
    reply = _reply(request)
    if many := int(request.faults.get(ChatFault.MANY_CALLS) or 0):
        calls = (replace(call, id=f"{call.id}_{number}") for number in range(many) for call in reply.calls)
        return replace(reply, calls=tuple(calls))
    if ChatFault.CONTENT_FILTER in request.faults and reply.content is not None:
        return Reply(reply.content[: len(reply.content) // 2], finish_reason="content_filter")
    return reply


def _reply(request: ChatRequest) -> Reply:
    words = last_words(request.messages)
    results = latest_results(request.messages)
    if command := next_command(request):
        return Reply(None, (made_call(*command),), "tool_calls")
    if results and not _AGAIN.search(words) and not is_forced(request):
        return _limited(request, _about(results))
    scripted = None if is_forced(request) else _scripted(words)
    if scripted is not None:
        return _limited(request, scripted)
    if calls := choose_calls(request):
        preface = _PREFACE.search(words)
        return Reply(preface["text"] if preface else None, tuple(calls), "tool_calls")
    return _limited(request, _structured(request, words) or _prose(request, words))


def _limited(request: ChatRequest, text: str) -> Reply:
    for stop in request.stop:
        text = text.partition(stop)[0]
    if request.max_tokens is not None and len(text) > request.max_tokens * CHARACTERS_PER_TOKEN:
        return Reply(text[: request.max_tokens * CHARACTERS_PER_TOKEN], finish_reason="length")
    return Reply(text)


def _scripted(words: str) -> str | None:
    repeated = _REPEAT.search(words)
    if repeated:
        return repeated["text"]
    counted = _COUNT.search(words)
    if counted:
        return " ".join(map(str, range(1, min(int(counted["number"]), _MOST_COUNTED) + 1)))
    return None


def _structured(request: ChatRequest, words: str) -> str | None:
    kind = request.response_format.get("type")
    if kind == "json_object":
        prompted = _prompted(request, words)
        return json.dumps({"answer": words} if prompted is None else prompted, ensure_ascii=False)
    if kind == "json_schema":
        return json.dumps(_wanted(request, words), ensure_ascii=False)
    if kind is None and "json" in words.lower() and (prompted := _prompted(request, words)) is not None:
        return f"```json\n{json.dumps(prompted, ensure_ascii=False, indent=2)}\n```"
    return None


def _wanted(request: ChatRequest, words: str) -> Any:
    described = request.response_format.get("json_schema") or {}
    try:
        return instance(described.get("schema") or {}, words)
    except InvalidSchemaError as error:
        raise invalid_schema("response_format") from error


def _prompted(request: ChatRequest, words: str) -> Any:
    """A value of the form that the prompt asks for in words; None if it does not, or in words that make no sense."""
    schema = prompted_schema(request.messages)
    try:
        return instance(schema, words) if schema else None
    except InvalidSchemaError:
        return None


def _prose(request: ChatRequest, words: str) -> str:
    images = image_count(request.messages)
    seen = f" I saw {images} image{'' if images == 1 else 's'}." if images else ""
    return f"This is a simulated answer ({NOTICE}).{seen} You said: {words}"


def _links(text: str) -> list[str]:
    return [link.rstrip(".,;:!?") for link in _LINK.findall(text)]


def _about(results: list[str]) -> str:
    quoted = "\n".join(f"> {result}" for result in results)
    links = dict.fromkeys(link for result in results for link in _links(result))
    shown = "\n\n".join(f"![Result]({link})" if _PICTURE.search(link) else f"[Result]({link})" for link in links)
    text = f"The tool says:\n\n{quoted}"
    return f"{text}\n\n{shown}" if shown else text
