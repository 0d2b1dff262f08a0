"""The page that shows a new key once: the cookie that only its browser has, and lines that work with the key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.responses import Response

from app.admin.sign_in.cookies import is_encrypted
from app.api_keys import showing
from app.api_keys.scopes import Scope
from app.core.settings import Settings
from app.model_names.service import ORCHESTRATOR_MODEL

_PATH: Final = "/admin/keys/created"
_EXAMPLE: Final = "Draw a lighthouse at night"


@dataclass(frozen=True)
class Snippet:
    """A program that calls the server with the key, in full."""

    language: str
    text: str


def keep_cookie(response: Response, request: Request, settings: Settings, key_id: str, token: str) -> None:
    """Give the browser what opens the new key. Each key has its own cookie, so that two tabs do not mix them up."""
    response.set_cookie(
        _cookie(key_id),
        token,
        max_age=int(showing.LIFETIME.total_seconds()),
        path=_PATH,
        httponly=True,
        samesite="strict",
        secure=is_encrypted(request, settings),
    )


def read_cookie(request: Request, key_id: str) -> str | None:
    """What opens the new key, if this browser has it."""
    return request.cookies.get(_cookie(key_id))


def forget_cookie(response: Response, key_id: str) -> None:
    """Take from the browser what has opened the key."""
    response.delete_cookie(_cookie(key_id), path=_PATH, httponly=True, samesite="strict")


def snippets_of(base_url: str, secret: str, *, can_chat: bool) -> list[Snippet]:
    """Lines that work with the key: a chat or, if it may not chat, the list of models, which every key may read."""
    texts = _chats(base_url, secret) if can_chat else _lists(base_url, secret)
    return [Snippet(language, text) for language, text in zip(("curl", "Python", "Node"), texts, strict=True)]


def can_chat(scopes: Sequence[str]) -> bool:
    """Whether a key with these scopes may chat with the orchestrator."""
    return Scope.ORCHESTRATOR_INVOKE in scopes


def _cookie(key_id: str) -> str:
    return f"junis_new_{key_id}"


def _chats(base_url: str, secret: str) -> tuple[str, str, str]:
    body = json.dumps({"messages": [{"role": "user", "content": _EXAMPLE}]})
    return (
        f"""curl {base_url}/chat/completions \\
  -H "Authorization: Bearer {secret}" \\
  -H "Content-Type: application/json" \\
  -d '{body}'""",
        f"""{_python_client(base_url, secret)}
answer = client.chat.completions.create(
    model="{ORCHESTRATOR_MODEL}",
    messages=[{{"role": "user", "content": "{_EXAMPLE}"}}],
)
print(answer.choices[0].message.content)""",
        f"""{_node_client(base_url, secret)}
const answer = await client.chat.completions.create({{
  model: "{ORCHESTRATOR_MODEL}",
  messages: [{{ role: "user", content: "{_EXAMPLE}" }}],
}});
console.log(answer.choices[0].message.content);""",
    )


def _lists(base_url: str, secret: str) -> tuple[str, str, str]:
    return (
        f"""curl {base_url}/models \\
  -H "Authorization: Bearer {secret}\"""",
        f"""{_python_client(base_url, secret)}
for model in client.models.list():
    print(model.id)""",
        f"""{_node_client(base_url, secret)}
for await (const model of client.models.list()) console.log(model.id);""",
    )


def _python_client(base_url: str, secret: str) -> str:
    return f"""from openai import OpenAI

client = OpenAI(
    base_url="{base_url}",
    api_key="{secret}",
)"""


def _node_client(base_url: str, secret: str) -> str:
    return f"""import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{base_url}",
  apiKey: "{secret}",
}});"""
