"""The library of the command line tool `llm`, with models in its `extra-openai-models.yaml`."""

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.contract.clients.frameworks.case import (
    ABOUT_WEATHER,
    COUNT,
    HELLO,
    ORCHESTRATOR,
    PICTURE,
    Case,
    Json,
    Poem,
    play,
    refusals,
    weather,
)

_FOLDER = tempfile.mkdtemp()
os.environ["LLM_USER_PATH"] = _FOLDER

import llm  # noqa: E402 - reads the folder


def _model(case: Case, model: str = ORCHESTRATOR) -> Any:
    entry = {
        "model_id": case.name,
        "model_name": model,
        "api_base": case.base_url,
        "api_key_name": "junis",
        "headers": case.headers,
        "supports_tools": True,
        "supports_schema": True,
        "vision": True,
    }
    # JSON is YAML.
    (Path(_FOLDER) / "extra-openai-models.yaml").write_text(json.dumps([entry]))
    return llm.get_model(case.name)


def _usage(response: Any) -> list[int]:
    usage = response.usage()
    return [usage.input, usage.output]


def chat(case: Case) -> Json:
    """A whole answer."""
    response = _model(case).prompt(HELLO, key=case.key, stream=False)
    return {"content": response.text(), "usage": _usage(response)}


def stream(case: Case) -> Json:
    """A stream."""
    response = _model(case).prompt(COUNT, key=case.key)
    return {"pieces": [piece for piece in response if piece], "usage": _usage(response)}


def tool_auto(case: Case) -> Json:
    """The model calls a function, and answers with its result."""
    calls: list[Json] = []

    def get_weather(city: str) -> str:
        calls.append({"name": "get_weather", "arguments": {"city": city}})
        return weather(city)

    chain = _model(case).chain(ABOUT_WEATHER, tools=[get_weather], key=case.key)
    return {"answer": chain.text(), "calls": calls}


def structured(case: Case) -> Json:
    """An answer of a schema's form."""
    return {"parsed": json.loads(_model(case).prompt(HELLO, schema=Poem, key=case.key).text())}


def image(case: Case) -> Json:
    """A question about a picture."""
    attachment = llm.Attachment(type="image/png", content=base64.b64decode(PICTURE))
    return {"content": _model(case).prompt(HELLO, attachments=[attachment], key=case.key).text()}


def history(case: Case) -> Json:
    """Two turns of a conversation that the client remembers."""
    conversation = _model(case).conversation()
    # Asking for the usage waits for the answer, which the next prompt contains.
    return {"usages": [_usage(conversation.prompt(HELLO, key=case.key, stream=False)) for _ in range(2)]}


def _ask(case: Case, key: str, model: str) -> None:
    _model(case, model).prompt(HELLO, key=case.keys[key], stream=False).text()


if __name__ == "__main__":
    play("llm", [chat, stream, tool_auto, structured, image, history, *refusals(_ask)])
