"""Chats with an Idempotency-Key, and what came of them at the vendor and in the ledger."""

import secrets
from collections.abc import Sequence
from typing import Any

import httpx

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization

CHAT = "/v1/chat/completions"
IN_PROGRESS = {
    "message": "A request with this Idempotency-Key is still running",
    "type": "invalid_request_error",
    "code": "idempotency_key_in_progress",
}

_AGENT = '[[agents]]\nname = "main"\nis_orchestrator = true\nmodel = "{model}"\ntools = {tools}\n'
_MODEL = """
[[models]]
name = "{model}"
kind = "chat"
max_output_tokens = 1000
price = {{ per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }}
"""


async def make_organization_with(database: Database, model: str, *, tools: Sequence[str] = ()) -> Organization:
    """An organization whose chats go to this model of the simulator's, which is offered these tools."""
    await factories.import_catalog(database, _MODEL.format(model=model))
    return await factories.make_organization(database, agents=_AGENT.format(model=model, tools=list(tools)))


def new_key() -> str:
    """A key that no request has had."""
    return secrets.token_urlsafe(24)


def new_words(text: str = "Tell me of") -> str:
    """Words that nobody has said, by which a model call is found again."""
    return f"{text} {secrets.token_hex(8)}"


async def ask(client: httpx.AsyncClient, words: str, key: str, **parameters: Any) -> httpx.Response:
    """The answer to a chat with this key."""
    chat = {"messages": [{"role": "user", "content": words}], **parameters}
    return await client.post(CHAT, json=chat, headers={"Idempotency-Key": key})


async def ask_until_answered(client: httpx.AsyncClient, words: str, key: str, **parameters: Any) -> httpx.Response:
    """The answer once no other run has the key."""
    while True:
        response = await ask(client, words, key, **parameters)
        if response.status_code != 409:
            return response
        assert response.json()["error"] == IN_PROGRESS


def model_calls(stack: Stack, words: str) -> list[dict[str, Any]]:
    """The calls of the chat model in which the user said this last."""
    entries = stack.simulator.log("chat")
    return [entry for entry in entries if entry["request"]["messages"][-1].get("content") == words]


def content_of(response: httpx.Response) -> str:
    """What the assistant says."""
    text: str = response.raise_for_status().json()["choices"][0]["message"]["content"]
    return text
