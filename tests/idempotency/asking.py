"""Chat requests with an Idempotency-Key, and the model calls that they caused."""

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
    """An organization whose chats use this model of the simulator, with these tools."""
    await factories.import_catalog(database, _MODEL.format(model=model))
    return await factories.make_organization(database, agents=_AGENT.format(model=model, tools=list(tools)))


def new_key() -> str:
    """A key that no request has used."""
    return secrets.token_urlsafe(24)


def new_words(text: str = "Tell me of") -> str:
    """Unique words, by which the model call can be found."""
    return f"{text} {secrets.token_hex(8)}"


async def ask(client: httpx.AsyncClient, words: str, key: str, **parameters: Any) -> httpx.Response:
    """The response to a chat request with this key."""
    chat = {"messages": [{"role": "user", "content": words}], **parameters}
    return await client.post(CHAT, json=chat, headers={"Idempotency-Key": key})


async def ask_until_answered(client: httpx.AsyncClient, words: str, key: str, **parameters: Any) -> httpx.Response:
    """The response once no other request with this key is in progress."""
    while True:
        response = await ask(client, words, key, **parameters)
        if response.status_code != 409:
            return response
        assert response.json()["error"] == IN_PROGRESS


def model_calls(stack: Stack, words: str) -> list[dict[str, Any]]:
    """The chat model's calls whose last message has these words."""
    entries = stack.simulator.log("chat")
    return [entry for entry in entries if entry["request"]["messages"][-1].get("content") == words]


def content_of(response: httpx.Response) -> str:
    """The assistant's text in a completion."""
    text: str = response.raise_for_status().json()["choices"][0]["message"]["content"]
    return text
