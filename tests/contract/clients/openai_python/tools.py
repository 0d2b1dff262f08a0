import json
from collections.abc import Iterable, Sequence
from typing import Any

from openai import pydantic_function_tool
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from pydantic import BaseModel

from tests.contract.clients.openai_python.case import ORCHESTRATOR, Case, Json, says


class Weather(BaseModel):
    """Tells the weather."""

    city: str


class Picture(BaseModel):
    """Makes a picture."""

    model: str
    input: dict[str, Any]


WEATHER: ChatCompletionToolUnionParam = pydantic_function_tool(Weather, name="get_weather")
# The name under which the simulated model calls a tool twice. The agent `plain` has no tool of its own by that name.
PICTURE: ChatCompletionToolUnionParam = {
    "type": "function",
    "function": {
        "name": "replicate_generate",
        "strict": True,
        "parameters": {"type": "object", "properties": {"model": {"type": "string"}, "input": {"type": "object"}}},
    },
}
ASK_WEATHER = "Please get weather in Oslo"
ASK_PICTURES = "Draw a fox twice"


def tool_call(case: Case) -> Json:
    """The model calls a tool of the client, and answers with its result."""
    client = case.client()
    messages: list[ChatCompletionMessageParam] = says(ASK_WEATHER)

    called = client.chat.completions.create(
        model=ORCHESTRATOR, messages=messages, tools=[WEATHER], user=case.id, extra_headers=case.headers
    ).choices[0]
    calls = called.message.tool_calls or []
    messages.append(called.message)  # type: ignore[arg-type]  # as the SDK's own examples do
    messages.extend({"role": "tool", "tool_call_id": call.id, "content": "Snow"} for call in calls)
    final = client.chat.completions.create(
        model=ORCHESTRATOR, messages=messages, tools=[WEATHER], user=case.id, extra_headers=case.headers
    ).choices[0]

    return {
        **_called(called.finish_reason, calls),
        "content": called.message.content,
        "answer": final.message.content,
        "answer_finish_reason": final.finish_reason,
    }


def parallel_tool_calls(case: Case) -> Json:
    """The model calls a tool of the client twice in one message."""
    completion = case.client().chat.completions.create(
        model="agent/plain", messages=says(ASK_PICTURES), tools=[PICTURE], user=case.id, extra_headers=case.headers
    )

    (choice,) = completion.choices
    return _called(choice.finish_reason, choice.message.tool_calls or [])


def streamed_tool_call(case: Case) -> Json:
    """The SDK joins the pieces of a call."""
    return _streamed(case, ORCHESTRATOR, ASK_WEATHER, WEATHER)


def streamed_parallel_tool_calls(case: Case) -> Json:
    """The SDK joins the pieces of two calls."""
    return _streamed(case, "agent/plain", ASK_PICTURES, PICTURE)


def _streamed(case: Case, model: str, words: str, tool: ChatCompletionToolUnionParam) -> Json:
    with case.client().chat.completions.stream(
        model=model, messages=says(words), tools=[tool], extra_headers=case.headers
    ) as events:
        done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        (choice,) = events.get_final_completion().choices

    return {
        **_called(choice.finish_reason, choice.message.tool_calls or []),
        "done": [
            {"index": event.index, "name": event.name, "arguments": json.loads(event.arguments)} for event in done
        ],
    }


def _called(finish_reason: str, calls: Sequence[Any]) -> Json:
    return {
        "finish_reason": finish_reason,
        "types": _each(call.type for call in calls),
        "ids": len({call.id for call in calls}),
        "calls": [{"name": call.function.name, "arguments": json.loads(call.function.arguments)} for call in calls],
    }


def _each(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


SCENARIOS = (tool_call, parallel_tool_calls, streamed_tool_call, streamed_parallel_tool_calls)
