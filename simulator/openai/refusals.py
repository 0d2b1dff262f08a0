from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from simulator.connection import drop
from simulator.faults.chat import ChatFault
from simulator.faults.draw import stable_key
from simulator.faults.parsing import ChatFaults, happens
from simulator.openai.additions import check_additions
from simulator.openai.completion import prompt_tokens
from simulator.openai.errors import (
    ApiError,
    context_exceeded,
    extra_field,
    forbidden,
    incorrect_key,
    insufficient_quota,
    model_not_found,
    overloaded,
    overloaded_like_anthropic,
    rate_limited,
    server_error,
    unknown_field,
    unsupported_parameter,
)
from simulator.openai.requests import ChatRequest
from simulator.state import simulator_of
from simulator.wire import GATEWAY_PAGE

_ERRORS: dict[ChatFault, Callable[[str], ApiError]] = {
    ChatFault.STATUS_401: lambda _: incorrect_key(),
    ChatFault.STATUS_402: lambda _: insufficient_quota(),
    ChatFault.STATUS_403: lambda _: forbidden(),
    ChatFault.STATUS_404: model_not_found,
    ChatFault.STATUS_500: lambda _: server_error(),
    ChatFault.STATUS_503: lambda _: overloaded(),
    ChatFault.STATUS_529: lambda _: overloaded_like_anthropic(),
}
_UNKNOWN_FIELDS = {
    ChatFault.NO_MAX_COMPLETION_TOKENS: "max_completion_tokens",
    ChatFault.NO_STREAM_OPTIONS: "stream_options",
}


async def refuse(request: Request, chat: ChatRequest) -> Response | None:
    """The response to a request instead of a completion, if its faults say so.

    Raises:
        ApiError: It is refused in OpenAI's envelope.
        ConnectionCutError: It is not answered at all.
    """
    if not chat.faults:
        return None
    _check_parameters(chat)
    return await refuse_by(request, chat.faults, chat.model, chat.messages)


async def refuse_by(request: Request, faults: ChatFaults, model: str, content: object) -> Response | None:
    """Like `refuse`, of any request of this content for a model."""
    nth = simulator_of(request).occurrences.next(stable_key(model, content))
    if ChatFault.STATUS_429 in faults:
        raise rate_limited(faults[ChatFault.STATUS_429])
    for fault, error in _ERRORS.items():
        if happens(faults, fault, nth):
            raise error(model)
    if happens(faults, ChatFault.HTML_502, nth):
        return HTMLResponse(GATEWAY_PAGE, 502)
    if happens(faults, ChatFault.DROP_BEFORE_RESPONSE, nth):
        await drop(request)
    return None


def _check_parameters(chat: ChatRequest) -> None:
    if ChatFault.NO_MAX_TOKENS in chat.faults and "max_tokens" in chat.body:
        raise unsupported_parameter("max_tokens", instead="max_completion_tokens")
    if ChatFault.NO_TEMPERATURE in chat.faults and "temperature" in chat.body:
        raise unsupported_parameter("temperature", instead="no temperature")
    if ChatFault.NO_PARALLEL_TOOL_CALLS in chat.faults and "parallel_tool_calls" in chat.body:
        raise unknown_field("parallel_tool_calls")
    check_additions(chat)
    for fault, name in _UNKNOWN_FIELDS.items():
        if fault in chat.faults and name in chat.body:
            raise extra_field(name)
    context = chat.faults.get(ChatFault.CONTEXT)
    if context is not None and prompt_tokens(chat) + (chat.max_tokens or 1) > context:
        raise context_exceeded(int(context), prompt_tokens(chat), chat.max_tokens or 1)
