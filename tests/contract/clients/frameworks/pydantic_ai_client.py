"""Agents of `pydantic-ai`, with its model for chat completions, or with its default, the Responses API."""

import asyncio
import base64
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    USES_RESPONSES,
    Case,
    Json,
    Poem,
    Scenario,
    play,
    refusals,
    weather,
)


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather(city)


def _agent(case: Case, key: str = "every_scope", model: str = ORCHESTRATOR, **options: Any) -> Any:
    client = AsyncOpenAI(base_url=case.base_url, api_key=case.keys[key], default_headers=case.headers)
    kind = OpenAIResponsesModel if USES_RESPONSES else OpenAIChatModel
    return Agent(kind(model, provider=OpenAIProvider(openai_client=client)), **options)


def _usage(result: Any) -> list[int]:
    usage = result.usage() if callable(result.usage) else result.usage
    return [usage.input_tokens, usage.output_tokens]


def _calls(result: Any) -> list[Json]:
    parts = [part for message in result.all_messages() for part in message.parts if isinstance(part, ToolCallPart)]
    return [{"name": part.tool_name, "arguments": part.args_as_dict()} for part in parts]


def chat(case: Case) -> Json:
    """A whole answer."""
    result = _agent(case).run_sync(HELLO)
    return {"content": result.output, "usage": _usage(result)}


def stream(case: Case) -> Json:
    """A stream."""

    async def read() -> Json:
        async with _agent(case).run_stream(COUNT) as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            return {"pieces": [piece for piece in pieces if piece], "usage": _usage(result)}

    return asyncio.run(read())


def tool_auto(case: Case) -> Json:
    """The model calls a tool, and answers with its result."""
    result = _agent(case, tools=[get_weather]).run_sync(ABOUT_WEATHER)
    return {"answer": result.output, "calls": _calls(result)}


def tool_before_output(case: Case) -> Json:
    """The model calls a tool, and then must call the one that takes its structured answer."""
    result = _agent(case, tools=[get_weather], output_type=Poem).run_sync(ABOUT_WEATHER)
    return {"parsed": result.output.model_dump(), "called": [call["name"] for call in _calls(result)]}


def _structured(name: str, output: Any) -> Scenario:
    def structured(case: Case) -> Json:
        return {"parsed": _agent(case, output_type=output).run_sync(HELLO).output.model_dump()}

    structured.__name__ = f"structured_{name}"
    return structured


def image(case: Case) -> Json:
    """A question about a picture."""
    picture = BinaryContent(base64.b64decode(PICTURE), media_type="image/png")
    return {"content": _agent(case).run_sync([HELLO, picture]).output}


def history(case: Case) -> Json:
    """Two turns of a conversation that the client remembers."""
    agent = _agent(case)
    first = agent.run_sync(HELLO)
    return {"usages": [_usage(first), _usage(agent.run_sync(HELLO, message_history=first.all_messages()))]}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    if USES_RESPONSES:
        agent = _agent(case, model_settings={"openai_previous_response_id": "auto"})
        first = agent.run_sync(HELLO)
        return {"usages": [_usage(first), _usage(agent.run_sync(HELLO, message_history=first.all_messages()))]}
    agent = _agent(case, model_settings={"extra_body": case.conversation})
    return {"usages": [_usage(agent.run_sync(HELLO)) for _ in range(2)]}


def _ask(case: Case, key: str, model: str) -> None:
    _agent(case, key, model).run_sync(HELLO)


if __name__ == "__main__":
    outputs = {"tool": ToolOutput(Poem), "native": NativeOutput(Poem), "prompted": PromptedOutput(Poem)}
    structured = [_structured(name, output) for name, output in outputs.items()]
    tools = [tool_auto, tool_before_output]
    play("pydantic-ai-slim", [chat, stream, *tools, *structured, image, history, session, *refusals(_ask)])
