"""A request to the API as programs that run as they are shown, with a key in the environment: pure functions."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.admin.playground.protocols import CHAT, RESPONSES, Protocol
from app.chat.openai.parameters import ModelParameters

KEY_VARIABLE: Final = "JUNIS_API_KEY"
_OF_RESPONSES: Final = (
    *("include", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls"),
    *("prompt_cache_key", "reasoning", "safety_identifier", "service_tier", "text", "tool_choice", "top_logprobs"),
    *("temperature", "top_p", "truncation", "user", "conversation"),
)


@dataclass(frozen=True)
class _Calling:
    """How a program calls an API.

    Attributes:
        path: its path below the base URL.
        method: what it is in the SDKs.
        session: the parameter that names the session that goes on.
        known: what Python's SDK knows by name; the rest of a request goes through `extra_body`.
        python: what prints the texts of the stream in Python.
        node: the same in JavaScript.
    """

    path: str
    method: str
    session: str
    known: frozenset[str]
    python: str
    node: str


_CALLING: Final = {
    CHAT.name: _Calling(
        path="chat/completions",
        method="client.chat.completions.create",
        session="session_id",
        known=frozenset({*ModelParameters.model_fields, "messages", "model", "tools", "stream"}),
        python=(
            "for chunk in stream:\n"
            "    if chunk.choices:\n"
            '        print(chunk.choices[0].delta.content or "", end="", flush=True)\n'
        ),
        node=(
            'for await (const chunk of stream) {\n  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n}\n'
        ),
    ),
    RESPONSES.name: _Calling(
        path="responses",
        method="client.responses.create",
        session="conversation",
        known=frozenset({*_OF_RESPONSES, "model", "tools", "stream"}),
        python=(
            "for event in stream:\n"
            '    if event.type == "response.output_text.delta":\n'
            '        print(event.delta, end="", flush=True)\n'
        ),
        node=(
            "for await (const event of stream) {\n"
            '  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);\n'
            "}\n"
        ),
    ),
}


@dataclass(frozen=True)
class Sample:
    """A program: what it is called, and its text."""

    name: str
    text: str


def samples_of(body: Mapping[str, Any], protocol: Protocol, *, base_url: str, session: str | None) -> list[Sample]:
    """The programs that send this body, to that session if it exists, and print the answer as it arrives.

    Args:
        body: the request, without a session and without `stream`.
        protocol: the API that the body is of.
        base_url: the base of the API for OpenAI's SDKs, which ends in `/v1`.
        session: the session that is continued.
    """
    calling = _CALLING[protocol.name]
    sent = {**body, "stream": True, **({calling.session: session} if session else {})}
    return [
        Sample("curl", _curl(sent, calling, base_url)),
        Sample("Python", _python(sent, calling, base_url)),
        Sample("Node", _node(sent, calling, base_url)),
    ]


def _curl(body: Mapping[str, Any], calling: _Calling, base_url: str) -> str:
    # No line of the JSON can be the word that ends it: line breaks in texts are escaped.
    return (
        f"curl -N {shlex.quote(f'{base_url}/{calling.path}')} \\\n"
        f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  --data-binary @- <<'EOF'\n{_json(body)}\nEOF\n"
    )


def _python(body: Mapping[str, Any], calling: _Calling, base_url: str) -> str:
    known = {name: value for name, value in body.items() if name in calling.known}
    extra = {name: value for name, value in body.items() if name not in calling.known}
    arguments = [f"    {name}={_literal(value, 1)},\n" for name, value in known.items()]
    if extra:
        arguments.append(f"    extra_body={_literal(extra, 1)},\n")
    return (
        "import os\n\n"
        "from openai import OpenAI\n\n"
        f'client = OpenAI(\n    base_url={json.dumps(base_url)},\n    api_key=os.environ["{KEY_VARIABLE}"],\n)\n'
        f"stream = {calling.method}(\n{''.join(arguments)})\n"
        f"{calling.python}"
        "print()\n"
    )


def _node(body: Mapping[str, Any], calling: _Calling, base_url: str) -> str:
    return (
        'import OpenAI from "openai";\n\n'
        f"const client = new OpenAI({{\n  baseURL: {json.dumps(base_url)},\n"
        f"  apiKey: process.env.{KEY_VARIABLE},\n}});\n"
        f"const stream = await {calling.method}({_json(body)});\n"
        f"{calling.node}"
        'process.stdout.write("\\n");\n'
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _literal(value: Any, depth: int) -> str:
    """A JSON value as Python writes it. A text in JSON is one in Python, too."""
    indent, end = "    " * (depth + 1), "    " * depth
    if isinstance(value, dict) and value:
        items = [
            f"{indent}{json.dumps(name, ensure_ascii=False)}: {_literal(each, depth + 1)},\n"
            for name, each in value.items()
        ]
        return "{\n" + "".join(items) + end + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{indent}{_literal(each, depth + 1)},\n" for each in value) + end + "]"
    if value is None or isinstance(value, bool):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
