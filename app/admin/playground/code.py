"""A request to the API as programs that run as they are shown, with a key in the environment: pure functions."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.chat.openai.parameters import ModelParameters

KEY_VARIABLE: Final = "JUNIS_API_KEY"
# What the SDKs know by name; the rest of a request goes through `extra_body`.
_KNOWN: Final = frozenset({*ModelParameters.model_fields, "messages", "model", "tools", "stream"})


@dataclass(frozen=True)
class Sample:
    """A program: what it is called, and its text."""

    name: str
    text: str


def samples_of(body: Mapping[str, Any], *, base_url: str, session: str | None) -> list[Sample]:
    """The programs that send this body, to that session if it exists, and print the answer as it arrives.

    Args:
        body: the request, without a session and without `stream`.
        base_url: the base of the API for OpenAI's SDKs, which ends in `/v1`.
        session: the session that is continued.
    """
    sent = {**body, "stream": True, **({"session_id": session} if session else {})}
    return [
        Sample("curl", _curl(sent, base_url)),
        Sample("Python", _python(sent, base_url)),
        Sample("Node", _node(sent, base_url)),
    ]


def _curl(body: Mapping[str, Any], base_url: str) -> str:
    # No line of the JSON can be the word that ends it: line breaks in texts are escaped.
    return (
        f"curl -N {shlex.quote(f'{base_url}/chat/completions')} \\\n"
        f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  --data-binary @- <<'EOF'\n{_json(body)}\nEOF\n"
    )


def _python(body: Mapping[str, Any], base_url: str) -> str:
    known = {name: value for name, value in body.items() if name in _KNOWN}
    extra = {name: value for name, value in body.items() if name not in _KNOWN}
    arguments = [f"    {name}={_literal(value, 1)},\n" for name, value in known.items()]
    if extra:
        arguments.append(f"    extra_body={_literal(extra, 1)},\n")
    return (
        "import os\n\n"
        "from openai import OpenAI\n\n"
        f'client = OpenAI(\n    base_url={json.dumps(base_url)},\n    api_key=os.environ["{KEY_VARIABLE}"],\n)\n'
        f"stream = client.chat.completions.create(\n{''.join(arguments)})\n"
        "for chunk in stream:\n"
        "    if chunk.choices:\n"
        '        print(chunk.choices[0].delta.content or "", end="", flush=True)\n'
        "print()\n"
    )


def _node(body: Mapping[str, Any], base_url: str) -> str:
    return (
        'import OpenAI from "openai";\n\n'
        f"const client = new OpenAI({{\n  baseURL: {json.dumps(base_url)},\n"
        f"  apiKey: process.env.{KEY_VARIABLE},\n}});\n"
        f"const stream = await client.chat.completions.create({_json(body)});\n"
        "for await (const chunk of stream) {\n"
        '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n'
        "}\n"
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
