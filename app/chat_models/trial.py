"""Whether a chat model answers: one tiny call, as the server makes them, and what its failure means."""

import time
from dataclasses import dataclass
from typing import Any

from app.chat_models.errors import UpstreamRejectedError, UpstreamStatusError
from app.chat_models.protocol import OUTPUT_LIMIT, ChatModelClient, JsonObject, Upstream
from app.chat_models.tool_refusals import refuses_tools
from app.core.errors import AppError

# Upper bounds, for whoever has to know what a trial costs.
TRIAL_PROMPT_TOKENS, TRIAL_ANSWER_TOKENS = 100, 16

_TOOL: JsonObject = {
    "type": "function",
    "function": {"name": "note", "description": "Notes it.", "parameters": {"type": "object", "properties": {}}},
}
# OpenAI's models that think before they answer may refuse afterwards, if nothing is left of the limit.
_THOUGHT_TOO_LONG = "model output limit was reached"


@dataclass(frozen=True)
class Trial:
    """How a model answered.

    Attributes:
        failure: why it did not; None if it did.
        seconds: how long that took.
        takes_tools: whether it accepts tools, which most agents have.
        tool_refusal: what the upstream says if it does not.
    """

    failure: AppError | None
    seconds: float
    takes_tools: bool = True
    tool_refusal: str = ""


async def try_model(client: ChatModelClient, upstream: Upstream, model: str, *, timeout: float) -> Trial:
    """Ask the model for a word. At most one call is run: what an upstream refuses, it does not run.

    Args:
        client: makes the call.
        upstream: whom to ask.
        model: the model's name there.
        timeout: limits each call, in seconds.
    """
    began = time.monotonic()
    failure = await _ask(client, upstream, model, timeout, tools=[_TOOL])
    if not isinstance(failure, UpstreamRejectedError) or not refuses_tools(failure):
        return Trial(failure, time.monotonic() - began)
    without = await _ask(client, upstream, model, timeout)
    return Trial(without, time.monotonic() - began, takes_tools=False, tool_refusal=reason_of(failure))


def reason_of(error: AppError) -> str:
    """What the upstream says, if the error is its refusal; otherwise what failed."""
    cause = error.__cause__
    if isinstance(cause, UpstreamStatusError):
        return cause.reason
    return f"{cause}" if cause is not None and str(cause) else error.text


async def _ask(client: ChatModelClient, upstream: Upstream, model: str, timeout: float, **more: Any) -> AppError | None:
    messages = [{"role": "user", "content": "Say OK."}]
    body: JsonObject = {"model": model, "messages": messages, OUTPUT_LIMIT: TRIAL_ANSWER_TOKENS, **more}
    try:
        await client.complete(upstream, body, timeout=timeout)
    except AppError as error:
        return None if _THOUGHT_TOO_LONG in reason_of(error) else error
    return None
