"""The body of a model call, and upper bounds for its tokens."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import orjson

from app.agents.definition import AgentDefinition
from app.chat_models.protocol import BYTES_PER_TOKEN, OUTPUT_LIMIT, JsonObject, OutputLimitName

# Either of them limits the length of the answer.
_LIMITS: tuple[str, ...] = get_args(OutputLimitName)
# The fewest bytes that a token of any natural language, or of code, has on average.
_DENSE_BYTES_PER_TOKEN = 3
# In tokens. If less is left, the upstream's refusal says more than an answer that breaks off at once, and is free.
_SHORTEST_ANSWER = 256
_KEY = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def build_body(
    agent: AgentDefinition,
    *,
    model: str,
    instruction: str,
    parameters: JsonObject,
    messages: Sequence[JsonObject],
    tools: Sequence[JsonObject],
    keeps_choice: bool,
) -> JsonObject:
    """The body of one model call. The client's parameters override the agent's settings.

    `keeps_choice` says whether `tool_choice` is sent. In every call, a forced tool of the server's would be called over
    and over.
    """
    body: JsonObject = {"model": model, "messages": with_instruction(instruction, messages)}
    if agent.temperature is not None:
        body["temperature"] = agent.temperature
    if agent.max_output_tokens is not None and parameters.keys().isdisjoint(_LIMITS):
        body[OUTPUT_LIMIT] = agent.max_output_tokens
    body |= parameters
    if not tools:
        return {name: value for name, value in body.items() if name not in {"tool_choice", "parallel_tool_calls"}}
    if not keeps_choice:
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
    return _prompt_bytes(body) - _bytes_of(images) + image_tokens * len(images)


def output_tokens_bound(body: JsonObject, model_maximum: int) -> int:
    """The most tokens that the answer can have: the model's own limit, or the smallest of those in the body."""
    wanted: list[int] = [body[name] for name in _LIMITS if name in body]
    return min([model_maximum, *wanted])


def with_limit(body: JsonObject, model_maximum: int) -> JsonObject:
    """The body with `output_tokens_bound` as its only limit on the answer's length."""
    unlimited = {name: value for name, value in body.items() if name not in _LIMITS}
    return {**unlimited, OUTPUT_LIMIT: output_tokens_bound(body, model_maximum)}


def room_for_answer(body: JsonObject, context_tokens: int, image_tokens: int) -> int:
    """How many tokens of the context the prompt probably leaves for the answer; at least a short one.

    Some upstreams refuse a request if the prompt and the limit of the answer exceed the context together. The tokens of
    the prompt can only be estimated. If the estimate is low, a prompt is refused that would fit; if it is high, the
    answer is cut. So the prompt counts as dense text with images of the largest size as long as that leaves more than
    half of the room that average text leaves; otherwise the answer gets this half, and the other is the margin. Data
    that is neither text nor an image, such as sound, is not counted: its tokens have no relation to its bytes.

    Args:
        body: the body with the prompt.
        context_tokens: the most that the model takes, prompt and answer together.
        image_tokens: the most that one image counts as.
    """
    data = [part for part in _parts(body["messages"]) if part.get("type") != "text"]
    images = len([part for part in data if part.get("type") == "image_url"])
    size = _prompt_bytes(body) - _bytes_of(data)
    least = context_tokens - size // _DENSE_BYTES_PER_TOKEN - image_tokens * images
    probable = context_tokens - size // BYTES_PER_TOKEN
    return max(min(_SHORTEST_ANSWER, -(-context_tokens // 2)), least, probable // 2)


def _prompt_bytes(body: JsonObject) -> int:
    return len(orjson.dumps([body["messages"], body.get("tools"), body.get("response_format")]))


def _bytes_of(parts: Iterable[JsonObject]) -> int:
    return sum(len(orjson.dumps(part)) for part in parts)


def _parts(messages: Iterable[JsonObject]) -> Iterable[Any]:
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from (part for part in message["content"] if isinstance(part, dict))
