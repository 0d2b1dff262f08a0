"""The body of a model call, and how large it is at the most."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from app.agents.definition import AgentDefinition
from app.chat_models.protocol import JsonObject

_LIMITS = ("max_tokens", "max_completion_tokens")
_KEY = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def build_body(
    agent: AgentDefinition,
    *,
    model: str,
    instruction: str,
    parameters: JsonObject,
    messages: Sequence[JsonObject],
    tools: Sequence[JsonObject],
    is_first: bool,
) -> JsonObject:
    """The request for one call. What the client sets goes before what the agent is set to.

    `tool_choice` goes with the first call only: a forced tool would be called again for ever.
    """
    body: JsonObject = {"model": model, "messages": with_instruction(instruction, messages)}
    if agent.temperature is not None:
        body["temperature"] = agent.temperature
    if agent.max_output_tokens is not None and not {"max_tokens", "max_completion_tokens"} & parameters.keys():
        body["max_tokens"] = agent.max_output_tokens
    body |= parameters
    if not tools:
        return {name: value for name, value in body.items() if name not in {"tool_choice", "parallel_tool_calls"}}
    if not is_first:
        body.pop("tool_choice", None)
    body["tools"] = list(tools)
    return body


def fill_in(instruction: str, state: Mapping[str, str]) -> str:
    """The instruction with `{key}` replaced by what was written under that key; other braces stay as they are."""
    return _KEY.sub(lambda match: state.get(match[1], match[0]), instruction)


def with_instruction(instruction: str, messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The messages, with the agent's instruction before all others."""
    text = instruction.strip()
    return [{"role": "system", "content": text}, *messages] if text else list(messages)


def prompt_tokens_bound(body: JsonObject, image_tokens: int) -> int:
    """The most tokens that the body's prompt can have: a token is at least one byte of UTF-8.

    Images count as `image_tokens` each, whatever the size of their data.
    """
    images = [part for part in _parts(body["messages"]) if part.get("type") == "image_url"]
    size = len(orjson.dumps([body["messages"], body.get("tools"), body.get("response_format")]))
    return size - sum(len(orjson.dumps(image)) for image in images) + image_tokens * len(images)


def output_tokens_bound(body: JsonObject, model_maximum: int) -> int:
    """The most tokens that the answer can have."""
    wanted = [body[name] for name in _LIMITS if name in body]
    return min(max(wanted, default=model_maximum), model_maximum)


def with_limit(body: JsonObject, model_maximum: int) -> JsonObject:
    """The body with no limit of the answer's length above what `output_tokens_bound` counts on."""
    return {**body, **{name: min(body[name], model_maximum) for name in _LIMITS if name in body}}


def _parts(messages: Iterable[JsonObject]) -> Iterable[Any]:
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from (part for part in message["content"] if isinstance(part, dict))
