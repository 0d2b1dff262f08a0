"""The body of a model call, and upper bounds for its tokens."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from app.agents.definition import AgentDefinition
from app.chat_models.protocol import JsonObject

# Either of them limits the length of the answer.
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
    """The body of one model call. The client's parameters override the agent's settings.

    `tool_choice` is sent with the first call only. Otherwise a forced tool would be called over and over.
    """
    body: JsonObject = {"model": model, "messages": with_instruction(instruction, messages)}
    if agent.temperature is not None:
        body["temperature"] = agent.temperature
    if agent.max_output_tokens is not None and parameters.keys().isdisjoint(_LIMITS):
        body["max_tokens"] = agent.max_output_tokens
    body |= parameters
    if not tools:
        return {name: value for name, value in body.items() if name not in {"tool_choice", "parallel_tool_calls"}}
    if not is_first:
        body.pop("tool_choice", None)
    body["tools"] = list(tools)
    return body


def fill_in(instruction: str, state: Mapping[str, str]) -> str:
    """The instruction with each `{key}` replaced by the text under that key. Unknown keys stay as they are."""
    return _KEY.sub(lambda match: state.get(match[1], match[0]), instruction)


def with_instruction(instruction: str, messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The messages, preceded by the agent's instruction as a system message unless it is empty."""
    text = instruction.strip()
    return [{"role": "system", "content": text}, *messages] if text else list(messages)


def prompt_tokens_bound(body: JsonObject, image_tokens: int) -> int:
    """The most tokens that the prompt can have, because a token is at least one byte of UTF-8.

    Each image counts as `image_tokens`, whatever the size of its data.
    """
    images = [part for part in _parts(body["messages"]) if part.get("type") == "image_url"]
    size = len(orjson.dumps([body["messages"], body.get("tools"), body.get("response_format")]))
    return size - sum(len(orjson.dumps(image)) for image in images) + image_tokens * len(images)


def output_tokens_bound(body: JsonObject, model_maximum: int) -> int:
    """The most tokens that the answer can have: the limit in the body, or else the model's own."""
    wanted = [body[name] for name in _LIMITS if name in body]
    return min(max(wanted, default=model_maximum), model_maximum)


def with_limit(body: JsonObject, model_maximum: int) -> JsonObject:
    """The body, its limits on the answer's length reduced to the model's own if they are higher."""
    return {**body, **{name: min(body[name], model_maximum) for name in _LIMITS if name in body}}


def _parts(messages: Iterable[JsonObject]) -> Iterable[Any]:
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from (part for part in message["content"] if isinstance(part, dict))
