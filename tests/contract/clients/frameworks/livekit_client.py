"""The language model of LiveKit's voice agents."""

import asyncio
import json
from typing import Any

from livekit.agents import llm
from livekit.plugins import openai
from openai import AsyncOpenAI

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    PLACE,
    Case,
    Json,
    play,
    refusals,
    weather,
)


@llm.function_tool
async def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather(city)


@llm.function_tool
async def get_time(city: str) -> str:
    """Tells the time of a city."""
    return f"Noon in {city}"


def _context(*content: Any) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=list(content))
    return context


async def _chunks(case: Case, context: Any, key: str = "every_scope", model: str = ORCHESTRATOR, **options: Any) -> Any:
    # As the package's own client, which takes no headers: the package repeats by itself.
    settings: Json = {"base_url": case.base_url, "api_key": case.keys[key], "default_headers": case.headers}
    async with (
        AsyncOpenAI(**settings, max_retries=0) as client,
        openai.LLM(model=model, client=client).chat(chat_ctx=context, **options) as chunks,
    ):
        return [chunk async for chunk in chunks]


def _run(case: Case, context: Any, **options: Any) -> Json:
    chunks = asyncio.run(_chunks(case, context, **options))
    deltas = [chunk.delta for chunk in chunks if chunk.delta]
    calls = [call for delta in deltas for call in delta.tool_calls]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    return {
        "pieces": [delta.content for delta in deltas if delta.content],
        "calls": [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls],
        "ids": [call.call_id for call in calls],
        "usage": [usage.prompt_tokens, usage.completion_tokens],
    }


def stream(case: Case) -> Json:
    """A stream, which is the only form."""
    return _run(case, _context(COUNT))


def tool_auto(case: Case) -> Json:
    """The model calls a tool, and answers with its result."""
    context, tools = _context(ABOUT_WEATHER), [get_weather, get_time]
    called = _run(case, context, tools=tools)
    for call_id, call in zip(called["ids"], called["calls"], strict=True):
        shared = {"call_id": call_id, "name": call["name"]}
        context.insert(llm.FunctionCall(**shared, arguments=json.dumps(call["arguments"])))
        context.insert(llm.FunctionCallOutput(**shared, output=weather(**call["arguments"]), is_error=False))
    return {"calls": called["calls"], "answer": "".join(_run(case, context, tools=tools)["pieces"])}


def tool_required(case: Case) -> Json:
    """The model must call a tool."""
    return _run(case, _context(PLACE), tools=[get_weather, get_time], tool_choice="required")


def tool_named(case: Case) -> Json:
    """The model must call this tool."""
    choice = {"type": "function", "function": {"name": "get_time"}}
    return _run(case, _context(PLACE), tools=[get_weather, get_time], tool_choice=choice)


def image(case: Case) -> Json:
    """A question about a picture."""
    picture = llm.ImageContent(image=f"data:image/png;base64,{PICTURE}")
    return {"content": "".join(_run(case, _context(HELLO, picture))["pieces"])}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    extra = {"extra_body": case.conversation}
    return {"usages": [_run(case, _context(HELLO), extra_kwargs=extra)["usage"] for _ in range(2)]}


def _ask(case: Case, key: str, model: str) -> None:
    asyncio.run(_chunks(case, _context(HELLO), key, model))


if __name__ == "__main__":
    tools = [tool_auto, tool_required, tool_named]
    play("livekit-plugins-openai", [stream, *tools, image, session, *refusals(_ask)])
