"""Which tools the assistant calls, decided by the user's words alone."""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from simulator.openai.conversation import last_words, latest_results
from simulator.openai.errors import invalid_schema
from simulator.openai.requests import ChatRequest, Tool
from simulator.openai.schema import InvalidSchemaError, instance
from simulator.openai.wanted import is_last, is_meant, is_named
from simulator.replicate.models import MODELS
from simulator.wire import Json

GENERATE = "replicate_generate"

_DEFAULT_MODEL = "black-forest-labs/flux-schnell"

# The first that fits decides: "animate this picture" is about a film.
_MODELS_BY_WORD = (
    (re.compile(r"\b(3d|glb|mesh(es)?)\b"), "cjwbw/shap-e"),
    (re.compile(r"\b(videos?|films?|animat(e|ed|ion))\b"), "minimax/video-01"),
    (re.compile(r"\b(music|songs?|audio|sound|speech)\b"), "meta/musicgen"),
    (re.compile(r"\b(draw(ings?)?|pictures?|images?|paint(ings?)?|photos?)\b"), _DEFAULT_MODEL),
)
_VERB = re.compile(r"\b(run|use|make|generate|create|try)\b")
_LINK = re.compile(r"https?://\S+")
_MODEL = re.compile(
    r"(?P<cue>\b(run|use|using|with|by|model) )?"
    r"(?<![\w/.-])(?P<model>(?P<owner>[a-z][\w.-]*)/(?P<name>[a-z][\w.-]*\w)(:[0-9a-f]{64})?)(?![\w/])"
)
_OWNERS = frozenset(model.owner for model in MODELS)
_TWICE = re.compile(r"\b(twice|two different)\b")
_COUNT = re.compile(r"\b(?P<count>[2-4]|two|three|four) (\w+ )?(images|pictures|paintings|drawings|photos)\b")
_NUMBERS = {"two": 2, "three": 3, "four": 4}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant makes; its arguments are JSON text."""

    id: str
    name: str
    arguments: str


def choose_calls(request: ChatRequest) -> list[ToolCall]:
    """Choose what to call: every tool that the words ask for, or the first of them if only one at a time is allowed.

    Raises:
        ApiError: 400, the parameters of one of them are no JSON schema.
    """
    if request.tool_choice == "none" or not request.tools:
        return []
    words = last_words(request.messages)
    if is_forced(request) and (results := latest_results(request.messages) or _observed(words)):
        tool = _forced(request) or _ending(request.tools, words)
        return [made_call(tool.name, _fitting(tool.parameters, "\n".join(results)))]
    calls = [
        made_call(tool.name, arguments) for tool in _wanted(request, words) for arguments in _arguments(tool, words)
    ]
    return calls if request.is_parallel else calls[:1]


def _wanted(request: ChatRequest, words: str) -> list[Tool]:
    if forced := _forced(request):
        return [forced]
    tools = [tool for tool in request.tools if _is_wanted(tool, words.lower())]
    return tools or (request.tools[:1] if request.tool_choice == "required" else [])


def _observed(words: str) -> list[str]:
    """Results that a client has put into words, as for models that know no results of tools."""
    return [words.removeprefix("Observation:").strip()] if words.startswith("Observation:") else []


def _ending(tools: list[Tool], words: str) -> Tool:
    """What an assistant calls that has its results and must call something: the tool that ends the work, if any."""
    endings = [tool for tool in tools if is_last(tool)]
    return next(iter(endings or [tool for tool in tools if _is_wanted(tool, words.lower())] or tools))


def is_forced(request: ChatRequest) -> bool:
    """Whether the request leaves the assistant no choice but to call a tool."""
    return request.tool_choice == "required" or _forced(request) is not None


def _forced(request: ChatRequest) -> Tool | None:
    return next((tool for tool in request.tools if tool.name == request.tool_choice), None)


def _is_wanted(tool: Tool, lowered: str) -> bool:
    if tool.name == GENERATE:
        return is_named(tool, lowered) or _model(lowered) is not None
    return is_named(tool, lowered) or is_meant(tool, lowered)


def _model(lowered: str) -> str | None:
    """The Replicate model that the words call for, if they do."""
    fitting = next((model for pattern, model in _MODELS_BY_WORD if pattern.search(lowered)), None)
    if fitting or _VERB.search(lowered):
        return _named_model(lowered) or fitting
    return None


def _named_model(lowered: str) -> str | None:
    """A model's name among the words, as opposed to "black/white"."""
    for match in _MODEL.finditer(_LINK.sub("", lowered)):
        if match["cue"] or match["owner"] in _OWNERS or not match["name"].isalpha():
            return match["model"]
    return None


def _arguments(tool: Tool, words: str) -> list[Json]:
    """The arguments of each call of a tool; the words may ask for two."""
    if tool.name != GENERATE:
        return [_fitting(tool.parameters, words)]
    model = _model(words.lower()) or _DEFAULT_MODEL
    values: Json = {"prompt": words}
    if _TWICE.search(words.lower()):
        return [{"model": model, "input": {**values, "seed": seed}} for seed in (1, 2)]
    count = _COUNT.search(words.lower())
    if count:
        values["num_outputs"] = _NUMBERS.get(count["count"]) or int(count["count"])
    return [{"model": model, "input": values}]


def _fitting(schema: Json, words: str) -> Json:
    try:
        arguments: Any = instance({"type": "object", **schema}, words)
    except InvalidSchemaError as error:
        raise invalid_schema("tools") from error
    return arguments if isinstance(arguments, dict) else {}


def made_call(name: str, arguments: Json) -> ToolCall:
    """A new call."""
    return ToolCall(f"call_{secrets.token_hex(12)}", name, json.dumps(arguments, ensure_ascii=False))
