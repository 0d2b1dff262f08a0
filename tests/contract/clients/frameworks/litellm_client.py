"""The package `litellm` as a client, with the provider `openai`."""

import json
import os
from typing import Any

# Otherwise it asks a server elsewhere for prices, and waits.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    PLACE,
    Case,
    Json,
    Poem,
    play,
    refusals,
    weather,
)


def _tool(name: str) -> Json:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TOOLS = [_tool("get_weather"), _tool("get_time")]


def _complete(
    case: Case, content: Any = HELLO, key: str = "every_scope", model: str = ORCHESTRATOR, **options: Any
) -> Any:
    messages = options.pop("messages", [{"role": "user", "content": content}])
    return litellm.completion(
        f"openai/{model}",
        messages,
        api_base=case.base_url,
        api_key=case.keys[key],
        extra_headers=case.headers,
        **options,
    )


def _usage(completion: Any) -> list[int]:
    return [completion.usage.prompt_tokens, completion.usage.completion_tokens]


def _calls(message: Any) -> list[Json]:
    functions = [call.function for call in message.tool_calls or []]
    return [{"name": function.name, "arguments": json.loads(function.arguments)} for function in functions]


def chat(case: Case) -> Json:
    """A whole answer."""
    completion = _complete(case)
    return {"content": completion.choices[0].message.content, "usage": _usage(completion)}


def stream(case: Case) -> Json:
    """A stream, put together again by the package's own helper."""
    chunks = list(_complete(case, COUNT, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    return {"pieces": [piece for piece in pieces if piece], "usage": _usage(litellm.stream_chunk_builder(chunks))}


def tool_auto(case: Case) -> Json:
    """The model calls a tool, and answers with its result."""
    called = _complete(case, ABOUT_WEATHER, tools=TOOLS).choices[0].message
    calls = _calls(called)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": weather(**arguments["arguments"])}
        for call, arguments in zip(called.tool_calls, calls, strict=True)
    ]
    messages = [{"role": "user", "content": ABOUT_WEATHER}, called.model_dump(), *results]
    return {"calls": calls, "answer": _complete(case, messages=messages, tools=TOOLS).choices[0].message.content}


def tool_required(case: Case) -> Json:
    """The model must call a tool."""
    return {"calls": _calls(_complete(case, PLACE, tools=TOOLS, tool_choice="required").choices[0].message)}


def tool_named(case: Case) -> Json:
    """The model must call this tool."""
    choice = {"type": "function", "function": {"name": "get_time"}}
    return {"calls": _calls(_complete(case, PLACE, tools=TOOLS, tool_choice=choice).choices[0].message)}


def structured(case: Case) -> Json:
    """A structured answer."""
    return {"parsed": json.loads(_complete(case, response_format=Poem).choices[0].message.content)}


def image(case: Case) -> Json:
    """A question about a picture."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    return {"content": _complete(case, [{"type": "text", "text": HELLO}, picture]).choices[0].message.content}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    first = _complete(case)
    second = _complete(case, extra_body={"session_id": first.session_id})
    return {"usages": [_usage(first), _usage(second)]}


def _ask(case: Case, key: str, model: str) -> None:
    _complete(case, key=key, model=model)


if __name__ == "__main__":
    tools = [tool_auto, tool_required, tool_named]
    play("litellm", [chat, stream, *tools, structured, image, session, *refusals(_ask)])
