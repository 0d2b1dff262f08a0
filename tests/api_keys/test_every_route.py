"""What must be true of every route of the API. The routes come from the API's own OpenAPI document."""

import re
from typing import Any

import httpx
import pytest

from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import PATIENCE

BASE = "/api/external"
# None: the route accepts any key.
SCOPES = {
    "POST /v1/chat/completions": "orchestrator:invoke",
    "POST /v1/responses": "orchestrator:invoke",
    "POST /v1/embeddings": "orchestrator:invoke",
    "POST /v1/completions": "orchestrator:invoke",
    "POST /v1/images/generations": "content:generate",
    "POST /v1/images/edits": "content:generate",
    "POST /v1/audio/speech": "content:generate",
    "GET /v1/responses/{}": "orchestrator:invoke",
    "DELETE /v1/responses/{}": "orchestrator:invoke",
    "GET /v1/responses/{}/input_items": "orchestrator:invoke",
    "POST /v1/responses/{}/cancel": "orchestrator:invoke",
    "GET /v1/models": None,
    "GET /v1/models/{}": None,
    "GET /agents": "agents:list",
    "POST /agents/{}/completions": "agents:invoke",
    "GET /sessions": "sessions:read",
    "GET /sessions/{}/messages": "sessions:read",
    "GET /sessions/{}/status": "sessions:read",
    "GET /content": "content:read",
    "GET /content/{}": "content:read",
    "POST /content/{}/retry": "content:retry",
    "GET /credits": None,
    "GET /v1/usage": "usage:read",
    "GET /webhooks/endpoints": "webhooks:manage",
    "POST /webhooks/endpoints": "webhooks:manage",
    "GET /webhooks/endpoints/{}": "webhooks:manage",
    "PATCH /webhooks/endpoints/{}": "webhooks:manage",
    "DELETE /webhooks/endpoints/{}": "webhooks:manage",
    "POST /webhooks/endpoints/{}/rotate-secret": "webhooks:manage",
    "POST /webhooks/endpoints/{}/test": "webhooks:manage",
    "GET /webhooks/deliveries": "webhooks:manage",
    "GET /webhooks/deliveries/{}": "webhooks:manage",
    "POST /webhooks/deliveries/{}/resend": "webhooks:manage",
}


@pytest.fixture(scope="module")
async def document(stack: Stack) -> dict[str, Any]:
    """The API's OpenAPI document."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        found: dict[str, Any] = (await client.get(f"{stack.url}/openapi.json")).raise_for_status().json()
    return found


@pytest.fixture(scope="module")
def routes(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Method and path of every documented route; the path is relative to the base URL, with `{}` for each parameter."""
    return [
        (method.upper(), re.sub(r"{[^}]*}", "{}", path.removeprefix(BASE)))
        for path, operations in document["paths"].items()
        if path.startswith(f"{BASE}/")
        for method in operations
    ]


def test_every_operation_has_a_unique_name(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]

    assert len(names) == len(set(names))


async def test_every_route_is_documented_and_has_a_known_scope(routes: list[tuple[str, str]]) -> None:
    assert {f"{method} {path}" for method, path in routes} == set(SCOPES)


async def test_every_route_requires_a_key(stranger: httpx.AsyncClient, routes: list[tuple[str, str]]) -> None:
    for method, path in routes:
        response = await stranger.request(method, path.format("x"))

        assert (response.status_code, response.json()["error"]["code"]) == (401, "missing_api_key"), path
        assert list(response.json()) == ["error"]
        assert list(response.json()["error"]) == ["message", "type", "code"]
        assert response.headers["www-authenticate"] == "ApiKey"


async def test_a_route_accepts_its_scope_and_no_other(
    stranger: httpx.AsyncClient, routes: list[tuple[str, str]], database: Database, organization: Organization
) -> None:
    keys = {scope: await factories.make_key(database, organization, scope) for scope in ALL_SCOPES}

    for method, path in routes:
        admitted = set()
        for scope, key in keys.items():
            response = await stranger.request(method, path.format("x"), headers={"X-API-Key": key})
            if response.status_code != 403:
                admitted.add(scope)
        needed = SCOPES[f"{method} {path}"]
        assert admitted == ({needed} if needed else set(ALL_SCOPES)), path


@pytest.mark.parametrize("name", ["%00", "..%2F..", "%F0%9F%A6%8A", "x" * 3000, "%27%3B--", "%", "550e8400-e29b"])
async def test_no_path_parameter_causes_a_server_error(
    client: httpx.AsyncClient, routes: list[tuple[str, str]], name: str
) -> None:
    for method, path in routes:
        if "{}" in path:
            response = await client.request(method, path.format(name))

            assert response.status_code in {400, 404, 405}, (path, response.text)
