"""Agents of `smolagents`, and its model by itself."""

import base64
from io import BytesIO
from typing import Any

from PIL import Image
from smolagents import CodeAgent, LogLevel, OpenAIModel, ToolCallingAgent, tool
from smolagents.memory import ActionStep

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    Case,
    Json,
    play,
    refusals,
    weather,
)


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city.

    Args:
        city: The city's name.
    """
    return weather(city)


def _model(case: Case, key: str = "every_scope", model: str = ORCHESTRATOR, **options: Any) -> Any:
    settings = {"default_headers": case.headers}
    return OpenAIModel(model, api_base=case.base_url, api_key=case.keys[key], client_kwargs=settings, **options)


def _says(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": [{"type": "text", "text": HELLO}, *parts]}]


def _usage(message: Any) -> list[int]:
    return [message.token_usage.input_tokens, message.token_usage.output_tokens]


def chat(case: Case) -> Json:
    """A whole answer."""
    message = _model(case).generate(_says())
    return {"content": message.content, "usage": _usage(message)}


def stream(case: Case) -> Json:
    """A stream."""
    deltas = list(_model(case).generate_stream([{"role": "user", "content": [{"type": "text", "text": COUNT}]}]))
    return {"pieces": [delta.content for delta in deltas if delta.content], "usage": _usage(deltas[-1])}


def tool_of_an_agent(case: Case) -> Json:
    """An agent that must call a tool in each step, the last of which ends its work."""
    agent = ToolCallingAgent([get_weather], _model(case), max_steps=4, verbosity_level=LogLevel.OFF)
    answer = agent.run(ABOUT_WEATHER)
    steps = [step for step in agent.memory.steps if isinstance(step, ActionStep)]
    return {"answer": answer, "called": [call.name for step in steps for call in step.tool_calls or []]}


def code(case: Case) -> Json:
    """An agent whose steps are Python code."""
    agent = CodeAgent([], _model(case), max_steps=2, verbosity_level=LogLevel.OFF)
    return {"answer": agent.run("repeat after me: <code>\nfinal_answer(6 * 7)\n</code>")}


def image(case: Case) -> Json:
    """A question about a picture."""
    picture = Image.open(BytesIO(base64.b64decode(PICTURE)))
    return {"content": _model(case).generate(_says({"type": "image", "image": picture})).content}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    model = _model(case, extra_body=case.conversation)
    return {"usages": [_usage(model.generate(_says())) for _ in range(2)]}


def _ask(case: Case, key: str, model: str) -> None:
    # By itself it waits for minutes after a refusal.
    _model(case, key, model, retry=False).generate(_says())


if __name__ == "__main__":
    play("smolagents", [chat, stream, tool_of_an_agent, code, image, session, *refusals(_ask)])
