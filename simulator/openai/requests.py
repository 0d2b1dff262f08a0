"""Reading chat completion requests."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from simulator.faults.chat import ChatFault
from simulator.faults.parsing import SEPARATOR, ChatFaults, UnknownFaultError, parse_chat_faults
from simulator.openai.checks import check_types
from simulator.openai.errors import ApiError, forbidden, incorrect_key, insufficient_quota, missing_key
from simulator.state import simulator_of
from simulator.wire import Json, load

MAX_CHOICES = 8

_REFUSED_KEYS = {"revoked": incorrect_key, "unpaid": insufficient_quota, "forbidden": forbidden}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    parameters: Json


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion request.

    Attributes:
        body: As it came.
        model: The model's name, faults included.
        base_model: The model's name without faults.
        faults: The faults in its name.
        messages: The conversation.
        tools: The functions offered.
        tool_choice: ``auto``, ``none``, ``required``, or the name of the function that must be called.
        is_parallel: Whether more than one call is allowed.
        is_streamed: Whether to stream.
        has_usage: Whether a stream ends with a usage chunk.
        max_tokens: Where to stop, in tokens of four characters.
        stop: Texts to stop before.
        choices: How many answers.
        seed: Echoed in the system fingerprint.
        response_format: As it came.
    """

    body: Json
    model: str
    base_model: str
    faults: ChatFaults
    messages: list[Json]
    tools: list[Tool]
    tool_choice: str
    is_parallel: bool
    is_streamed: bool
    has_usage: bool
    max_tokens: int | None
    stop: list[str]
    choices: int
    seed: int | None
    response_format: Json


def check_key(request: Request) -> None:
    """Accept any key but those that were revoked, and the three that stand for a refusal.

    These are ``revoked``, ``unpaid`` and ``forbidden``.

    Raises:
        ApiError: 401, 402 or 403.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise missing_key()
    refusal = _REFUSED_KEYS.get("revoked" if key.strip() in simulator_of(request).revoked else key.strip())
    if refusal is not None:
        raise refusal()


def parse_chat_request(content: bytes) -> ChatRequest:
    """Read the body of a chat completion.

    Raises:
        ApiError: 400, the body is not one.
    """
    body = _object(content)
    model = str(body["model"])
    base_model, *fault_names = model.split(SEPARATOR)
    try:
        faults = parse_chat_faults(fault_names)
    except UnknownFaultError as error:
        raise ApiError(400, str(error), param="model") from error
    return ChatRequest(
        body=body,
        model=model,
        base_model=base_model,
        faults=faults,
        messages=body["messages"],
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        is_parallel=body.get("parallel_tool_calls") is not False,
        is_streamed=bool(body.get("stream")),
        has_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        max_tokens=_max_tokens(body, faults),
        stop=_stop(body),
        choices=_choices(body),
        seed=body.get("seed"),
        response_format=body.get("response_format") or {},
    )


def read_object(content: bytes) -> Json:
    """The JSON object of a request, which names its model.

    Raises:
        ApiError: it is none, or it names none.
    """
    try:
        body = load(content)
    except ValueError as error:
        raise ApiError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise ApiError(400, "you must provide a model parameter", param="model")
    return body


def _object(content: bytes) -> Json:
    body = read_object(content)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise ApiError(400, "'messages' must be a non-empty array of objects", param="messages")
    check_types(body)
    return body


def _tools(body: Json) -> list[Tool]:
    functions: list[Json] = [tool["function"] for tool in body.get("tools") or [] if tool.get("function")]
    return [Tool(str(function["name"]), function.get("parameters") or {}) for function in functions]


def _tool_choice(body: Json) -> str:
    choice: Any = body.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        return str((choice.get("function") or {}).get("name", "auto"))
    return str(choice)


def _max_tokens(body: Json, faults: ChatFaults) -> int | None:
    names = {
        "max_completion_tokens": ChatFault.IGNORES_MAX_COMPLETION_TOKENS,
        "max_tokens": ChatFault.IGNORES_MAX_TOKENS,
    }
    return next((body[name] for name, fault in names.items() if body.get(name) and fault not in faults), None)


def _stop(body: Json) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else [str(text) for text in stop if text != ""]


def _choices(body: Json) -> int:
    choices: int = body.get("n") or 1
    if not 1 <= choices <= MAX_CHOICES:
        raise ApiError(400, f"n must be between 1 and {MAX_CHOICES}", param="n")
    return choices
