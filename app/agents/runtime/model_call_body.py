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
# Likewise, if the request's own limit leaves less. No server refuses so few.
SHORTEST_PAID_ANSWER = 16
# Parameters whose values the model does not read. Of one that this server does not know, nobody can tell.
_NOT_READ = frozenset(
    {
        *("model", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "seed", "logit_bias"),
        *("logprobs", "top_logprobs", "tool_choice", "parallel_tool_calls", "modalities", "reasoning_effort"),
        *("verbosity", "user", "safety_identifier", "metadata", "service_tier", "store", "prompt_cache_key", *_LIMITS),
    }
)
_READ = frozenset({"messages", "tools", "response_format"})
# Stands in an instruction for what an agent has said under that output key.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


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
    body: JsonObject = {}
    if agent.temperature is not None:
        body["temperature"] = agent.temperature
    if agent.max_output_tokens is not None and parameters.keys().isdisjoint(_LIMITS):
        body[OUTPUT_LIMIT] = agent.max_output_tokens
    # After the client's: no parameter may take the place of what the server decides.
    body |= {**parameters, "model": model, "messages": with_instruction(instruction, messages)}
    if not tools:
        return {name: value for name, value in body.items() if name not in {"tool_choice", "parallel_tool_calls"}}
    if not keeps_choice:
        body.pop("tool_choice", None)
    body["tools"] = list(tools)
    return body


def fill_in(instruction: str, state: Mapping[str, str]) -> str:
    """The instruction with each `{key}` replaced by the text under that key. Unknown keys stay as they are."""
    return PLACEHOLDER.sub(lambda match: state.get(match[1], match[0]), instruction)


def with_instruction(instruction: str, messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The messages, preceded by the agent's instruction as a system message unless it is empty."""
    text = instruction.strip()
    return [{"role": "system", "content": text}, *messages] if text else list(messages)


def prompt_tokens_bound(body: JsonObject, image_tokens: int, file_tokens: int = 0) -> int:
    """The most tokens that the prompt can have, because a token is at least one byte of UTF-8.

    Each image counts as `image_tokens`, and the data of each file as `file_tokens`, whatever the size of its data.
    """
    images = _of_type(body, "image_url")
    files = [part["file"]["file_data"] for part in _of_type(body, "file")]
    data = _bytes_of(images) + sum(map(len, files))
    return _prompt_bytes(body) - data + image_tokens * len(images) + file_tokens * len(files)


def output_tokens_bound(body: JsonObject, model_maximum: int) -> int:
    """The most tokens that the answer can have: the model's own limit, or the smallest of those in the body."""
    wanted: list[int] = [body[name] for name in _LIMITS if name in body]
    return min([model_maximum, *wanted])


def unused_prediction_bound(body: JsonObject) -> int:
    """The most tokens of a predicted answer that are billed as written although the answer has others."""
    return len(orjson.dumps(body["prediction"])) if "prediction" in body else 0


def with_limit(body: JsonObject, model_maximum: int) -> JsonObject:
    """The body with `output_tokens_bound` as its only limit on the answer's length."""
    return with_answer_of(body, output_tokens_bound(body, model_maximum))


def with_answer_of(body: JsonObject, tokens: int) -> JsonObject:
    """The body with an answer of at most so many tokens."""
    unlimited = {name: value for name, value in body.items() if name not in _LIMITS}
    return {**unlimited, OUTPUT_LIMIT: tokens}


def room_for_answer(body: JsonObject, context_tokens: int, image_tokens: int, file_tokens: int = 0) -> int:
    """How many tokens of the context the prompt probably leaves for the answer; at least a short one.

    Some upstreams refuse a request if the prompt and the limit of the answer exceed the context together. The tokens of
    the prompt can only be estimated. If the estimate is low, a prompt is refused that would fit; if it is high, the
    answer is cut. So the prompt counts as dense text with images and files of the largest size as long as that leaves
    more than half of the room that average text leaves; otherwise the answer gets this half, and the other is the
    margin. Sound is not counted: its tokens have no relation to its bytes.

    Args:
        body: the body with the prompt.
        context_tokens: the most that the model takes, prompt and answer together.
        image_tokens: the most that one image counts as.
        file_tokens: the most that one file counts as.
    """
    data = [part for part in _parts(body["messages"]) if part.get("type") != "text"]
    held = image_tokens * len(_of_type(body, "image_url")) + file_tokens * len(_of_type(body, "file"))
    # A predicted answer shares the answer's room.
    size = _prompt_bytes({**body, "prediction": None}) - _bytes_of(data)
    least = context_tokens - size // _DENSE_BYTES_PER_TOKEN - held
    probable = context_tokens - size // BYTES_PER_TOKEN
    return max(min(_SHORTEST_ANSWER, -(-context_tokens // 2)), least, probable // 2)


def _prompt_bytes(body: JsonObject) -> int:
    prompt = [body["messages"], body.get("tools"), body.get("response_format")]
    others = {name: value for name, value in body.items() if name not in _NOT_READ | _READ and value is not None}
    return len(orjson.dumps(prompt)) + (len(orjson.dumps(others)) if others else 0)


def _bytes_of(parts: Iterable[JsonObject]) -> int:
    return sum(len(orjson.dumps(part)) for part in parts)


def _of_type(body: JsonObject, kind: str) -> list[JsonObject]:
    return [part for part in _parts(body["messages"]) if part.get("type") == kind]


def has_file(message: JsonObject) -> bool:
    """Whether a message has a file among its parts."""
    return any(part.get("type") == "file" for part in _parts([message]))


def _parts(messages: Iterable[JsonObject]) -> Iterable[Any]:
    for message in messages:
        if isinstance(message.get("content"), list):
            yield from (part for part in message["content"] if isinstance(part, dict))
