"""Structured answers with `instructor`, in each of its modes for chat completions."""

from collections.abc import Iterable
from typing import Any

import instructor
from openai import OpenAI

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    Case,
    Json,
    Poem,
    Scenario,
    play,
    refusals,
)

_MODES = (
    instructor.Mode.TOOLS,
    instructor.Mode.TOOLS_STRICT,
    instructor.Mode.JSON,
    instructor.Mode.JSON_SCHEMA,
    instructor.Mode.MD_JSON,
)


def _client(case: Case, mode: Any = instructor.Mode.TOOLS, key: str = "every_scope") -> Any:
    client = OpenAI(base_url=case.base_url, api_key=case.keys[key], default_headers=case.headers)
    return instructor.from_openai(client, mode=mode)


def _says(content: object) -> Json:
    return {"model": ORCHESTRATOR, "messages": [{"role": "user", "content": content}]}


def _usage(completion: Any) -> list[int]:
    return [completion.usage.prompt_tokens, completion.usage.completion_tokens]


def chat(case: Case) -> Json:
    """An answer without a form."""
    completion = _client(case).create(response_model=None, **_says(HELLO))
    return {"content": completion.choices[0].message.content, "usage": _usage(completion)}


def stream(case: Case) -> Json:
    """A stream without a form."""
    chunks = list(
        _client(case).create(response_model=None, stream=True, stream_options={"include_usage": True}, **_says(COUNT))
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    return {"pieces": [piece for piece in pieces if piece], "usage": _usage(chunks[-1])}


def _structured(mode: Any) -> Scenario:
    def structured(case: Case) -> Json:
        parsed, completion = _client(case, mode).create_with_completion(response_model=Poem, **_says(HELLO))
        return {"parsed": parsed.model_dump(), "usage": _usage(completion)}

    structured.__name__ = f"structured_{mode.name.lower()}"
    return structured


def structured_partial(case: Case) -> Json:
    """The form while it is still being filled in."""
    parts = list(_client(case).create_partial(response_model=Poem, **_says(HELLO)))
    return {"parsed": parts[-1].model_dump(), "parts": len(parts)}


def tool_of_several(case: Case) -> Json:
    """Several functions at once, of which the model chooses."""

    class GetWeather(Poem):
        """Tells the weather of a city."""

    class GetTime(Poem):
        """Tells the time of a city."""

    mode = instructor.Mode.PARALLEL_TOOLS
    called = _client(case, mode).create(response_model=Iterable[GetWeather | GetTime], **_says(ABOUT_WEATHER))
    return {"called": [type(call).__name__ for call in called]}


def image(case: Case) -> Json:
    """A question about a picture."""
    picture = instructor.Image.from_base64(f"data:image/png;base64,{PICTURE}")
    completion = _client(case).create(response_model=None, **_says([HELLO, picture]))
    return {"content": completion.choices[0].message.content}


def session(case: Case) -> Json:
    """Two turns of a conversation that the server remembers."""
    client = _client(case)
    completions = [client.create(response_model=None, extra_body=case.conversation, **_says(HELLO)) for _ in range(2)]
    return {"usages": [_usage(completion) for completion in completions]}


def _ask(case: Case, key: str, model: str) -> None:
    _client(case, key=key).create(response_model=Poem, **{**_says(HELLO), "model": model})


if __name__ == "__main__":
    modes = [_structured(mode) for mode in _MODES]
    play("instructor", [chat, stream, *modes, structured_partial, tool_of_several, image, session, *refusals(_ask)])
