"""Agents of the package `openai-agents`, over chat completions or over its default, the Responses API."""

import asyncio
import json
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from agents.items import ToolCallItem
from openai import AsyncOpenAI

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    PLACE,
    USES_RESPONSES,
    Case,
    Json,
    Poem,
    play,
    refusals,
    weather,
)


@function_tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather(city)


@function_tool
def get_time(city: str) -> str:
    """Tells the time of a city."""
    return f"Noon in {city}"


def _agent(case: Case, key: str = "every_scope", model: str = ORCHESTRATOR, **options: Any) -> Any:
    client = AsyncOpenAI(base_url=case.base_url, api_key=case.keys[key], default_headers=case.headers)
    kind = OpenAIResponsesModel if USES_RESPONSES else OpenAIChatCompletionsModel
    return Agent(name="Assistant", model=kind(model, client), **options)


def _usage(result: Any) -> list[int]:
    usage = result.context_wrapper.usage
    return [usage.input_tokens, usage.output_tokens]


def _calls(result: Any) -> list[Json]:
    items = [item.raw_item for item in result.new_items if isinstance(item, ToolCallItem)]
    return [{"name": item.name, "arguments": json.loads(item.arguments)} for item in items]


def chat(case: Case) -> Json:
    """A whole answer."""
    result = Runner.run_sync(_agent(case), HELLO)
    return {"content": result.final_output, "usage": _usage(result)}


def stream(case: Case) -> Json:
    """A stream."""

    async def read() -> Json:
        result = Runner.run_streamed(_agent(case, model_settings=ModelSettings(include_usage=True)), COUNT)
        events = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        return {"pieces": [piece for piece in pieces if piece], "usage": _usage(result)}

    return asyncio.run(read())


def _tool_loop(case: Case, words: str, choice: str | None) -> Json:
    agent = _agent(case, tools=[get_weather, get_time], model_settings=ModelSettings(tool_choice=choice))
    result = Runner.run_sync(agent, words)
    return {"answer": result.final_output, "calls": _calls(result)}


def tool_auto(case: Case) -> Json:
    """The model calls a tool, and answers with its result."""
    return _tool_loop(case, ABOUT_WEATHER, None)


def tool_required(case: Case) -> Json:
    """The model must call a tool."""
    return _tool_loop(case, PLACE, "required")


def tool_named(case: Case) -> Json:
    """The model must call this tool."""
    return _tool_loop(case, PLACE, "get_time")


def handoff(case: Case) -> Json:
    """One agent hands over to another one."""
    other = _agent(case, handoff_description="Knows poems.")
    other.name = "Poet"
    result = Runner.run_sync(_agent(case, handoffs=[other]), "Please transfer to poet")
    return {"agent": result.last_agent.name, "content": result.final_output}


def structured(case: Case) -> Json:
    """A structured answer."""
    return {"parsed": Runner.run_sync(_agent(case, output_type=Poem), HELLO).final_output.model_dump()}


def image(case: Case) -> Json:
    """A question about a picture."""
    parts = [
        {"type": "input_text", "text": HELLO},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}", "detail": "auto"},
    ]
    return {"content": Runner.run_sync(_agent(case), [{"role": "user", "content": parts}]).final_output}


def history(case: Case) -> Json:
    """Two turns of a conversation that the client remembers."""
    agent, memory = _agent(case), SQLiteSession(case.name)

    async def converse() -> list[Any]:
        return [await Runner.run(agent, HELLO, session=memory) for _ in range(2)]

    return {"usages": [_usage(result) for result in asyncio.run(converse())]}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    if USES_RESPONSES:
        agent = _agent(case)
        first = Runner.run_sync(agent, HELLO)
        return {
            "usages": [
                _usage(first),
                _usage(Runner.run_sync(agent, HELLO, previous_response_id=first.last_response_id)),
            ]
        }
    agent = _agent(case, model_settings=ModelSettings(extra_body=case.conversation))
    return {"usages": [_usage(Runner.run_sync(agent, HELLO)) for _ in range(2)]}


def _ask(case: Case, key: str, model: str) -> None:
    Runner.run_sync(_agent(case, key, model), HELLO)


if __name__ == "__main__":
    set_tracing_disabled(disabled=True)
    tools = [tool_auto, tool_required, tool_named, handoff]
    play("openai-agents", [chat, stream, *tools, structured, image, history, session, *refusals(_ask)])
