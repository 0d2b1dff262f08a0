"""Organizations that have one of each resource that a path can name."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from app.agents import service as agents
from app.agents.toml import read_agents
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests import factories
from tests.factories import Organization
from tests.waiting import until

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
# What other routes take.
_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJ"
    "RU5ErkJggg=="
)
_BODIES: Mapping[str, dict[str, Any]] = {
    "completions": {"prompt": "Hello"},
    "embeddings": {"model": "sim-embed", "input": "Hello"},
    "audio/speech": {"input": "Hello"},
    "images/generations": {"prompt": "A lighthouse"},
    "images/edits": {"prompt": "A lighthouse", "images": [{"image_url": _PIXEL}]},
    "responses": {"model": "junis-orchestrator", "input": "Hello"},
}
# The price is what all tests of this worker have for that model: they share a catalog.
MODELS = """
[[models]]
name = "simulator/image--unknown-fields"
kind = "generation"
price = { per_call = 0.1, ceiling = 1 }
images = { default = true }
edits = { image = "image", default = true }
speech = {}

[[models]]
name = "sim-embed"
kind = "embedding"
price = { per_million_prompt_tokens = 1 }
"""
# Values of path parameters that do not exist.
UNKNOWN = {
    "agent_id": "agent-0000000000000000",
    "content_id": "00000000-0000-4000-8000-000000000000",
    "delivery_id": "00000000-0000-4000-8000-000000000000",
    "endpoint_id": "whe-0000000000000000",
    "model_id": "agent/nobody",
    "response_id": "resp_0000000000000000",
    "session_id": "sess-0000000000000000",
}
_AGENTS = """
[[agents]]
name = "main"
is_orchestrator = true
tools = ["replicate_generate"]

[[agents]]
name = "{name}"
"""


@dataclass(frozen=True)
class Tenant:
    """An organization, and the ids of its resources by the name of their path parameter."""

    organization: Organization
    ids: Mapping[str, str]
    words: str

    @property
    def identifiers(self) -> set[str]:
        """Texts that no other organization may see."""
        return {*self.ids.values(), self.organization.id, self.organization.user_id, self.words}


@dataclass(frozen=True)
class Route:
    """A method and a path of the HTTP API."""

    method: str
    path: str
    billing: str | None

    @property
    def has_id(self) -> bool:
        return "{" in self.path

    async def ask(self, client: httpx.AsyncClient, ids: Mapping[str, str], **request: Any) -> httpx.Response:
        """The response to a request for the resources with these ids."""
        body = body_of(self.method, self.path)
        return await client.request(self.method, self.path.format(**ids), json=body, **request)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def body_of(method: str, path: str) -> dict[str, Any] | None:
    """A body with which a route goes on to look for what its path names."""
    if method == "PATCH" or (method == "POST" and "/webhooks/" in path):
        return {}
    return _BODIES.get(path.rpartition("/v1/")[2], HELLO) if method == "POST" else None


async def routes_of(client: httpx.AsyncClient) -> list[Route]:
    """Every route that requires a key, from the server's OpenAPI document."""
    document = (await client.get("/openapi.json")).raise_for_status().json()
    return [
        Route(method.upper(), path, operation.get("x-billing"))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/api/external/")
    ]


async def make_tenant(client: httpx.AsyncClient, database: Database, model: str = "simulator/image") -> Tenant:
    """A new organization with agents, a conversation and a generated content."""
    name, words = f"painter-{secrets.token_hex(4)}", f"Please make {model} of {secrets.token_hex(8)}"
    organization = await factories.make_organization(database, agents=_AGENTS.format(name=name))
    headers = organization.headers
    chat = {"messages": [{"role": "user", "content": words}]}
    made = (await client.post("/api/external/v1/chat/completions", json=chat, headers=headers)).raise_for_status()
    asked = await client.post("/api/external/v1/responses", json=_BODIES["responses"], headers=headers)
    response = asked.raise_for_status().json()
    listed = (await client.get("/api/external/agents", headers=headers)).raise_for_status().json()["agents"]
    endpoint = {"url": "http://127.0.0.1:9/nobody", "events": ["credits.low"]}
    hook = (await client.post("/api/external/webhooks/endpoints", json=endpoint, headers=headers)).raise_for_status()
    tested = f"/api/external/webhooks/endpoints/{hook.json()['id']}/test"
    delivery = (await client.post(tested, headers=headers)).raise_for_status()
    ids = {
        "endpoint_id": hook.json()["id"],
        "delivery_id": delivery.json()["id"],
        "agent_id": next(agent["id"] for agent in listed if agent["name"] == name),
        "content_id": made.json()["generated_content"][0]["id"],
        "model_id": f"agent/{name}",
        "response_id": response["id"],
        "session_id": made.headers["X-Session-ID"],
    }
    return Tenant(organization, ids, words)


async def import_agents(database: Database, organization: Organization, text: str) -> None:
    """Add the agents of a file to an organization."""
    async with database.transaction() as tx:
        await agents.import_agents(tx, organization.id, read_agents(text), actor=COMMAND_LINE)


async def url_of_file(client: httpx.AsyncClient, tenant: Tenant) -> str:
    """The URL of the file of the tenant's content, once it is stored."""
    path, found = f"/api/external/content/{tenant.ids['content_id']}", ""

    async def is_stored() -> bool:
        nonlocal found
        detail = (await client.get(path, headers=tenant.organization.headers)).raise_for_status().json()
        found = detail["storage_url"] or ""
        return bool(found)

    await until(is_stored)
    return found
