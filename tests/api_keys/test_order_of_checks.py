"""The key and its scope are checked before anything in the request is read."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.factories import Organization

UNKNOWN_KEY = {"X-API-Key": "jns_live_" + "A" * 32}
UNKNOWN_ID = "550e8400-e29b-41d4-a716-446655440000"

BAD_REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", f"/content/{UNKNOWN_ID}", {}),
    ("GET", "/content/nope", {}),
    ("GET", "/content", {"params": {"page": "abc"}}),
    ("GET", "/content", {"params": {"status": "unknown"}}),
    ("POST", f"/content/{UNKNOWN_ID}/retry", {}),
    ("POST", "/v1/chat/completions", {"json": {}}),
    ("POST", "/v1/chat/completions", {"content": "{not json"}),
    ("POST", "/v1/chat/completions", {"content": b"\xff\xfe"}),
    ("POST", "/v1/chat/completions", {}),
]


@pytest.mark.parametrize(("method", "path", "request_"), BAD_REQUESTS)
async def test_a_bad_request_without_a_key_is_unauthenticated(
    stranger: httpx.AsyncClient, method: str, path: str, request_: dict[str, Any]
) -> None:
    for headers, code in (({}, "missing_api_key"), (UNKNOWN_KEY, "invalid_api_key")):
        response = await stranger.request(method, path, headers=headers, **request_)

        assert response.status_code == 401
        assert response.json()["error"]["code"] == code


@pytest.mark.parametrize(("method", "path", "request_"), BAD_REQUESTS)
async def test_a_bad_request_without_the_scope_is_forbidden(
    stranger: httpx.AsyncClient,
    database: Database,
    organization: Organization,
    method: str,
    path: str,
    request_: dict[str, Any],
) -> None:
    key = await factories.make_key(database, organization, "agents:list")

    response = await stranger.request(method, path, headers={"X-API-Key": key}, **request_)

    assert response.status_code == 403


@pytest.mark.parametrize(("method", "path", "request_"), BAD_REQUESTS)
async def test_with_key_and_scope_a_bad_request_is_refused_for_what_is_wrong_with_it(
    client: httpx.AsyncClient, method: str, path: str, request_: dict[str, Any]
) -> None:
    response = await client.request(method, path, **request_)

    assert response.status_code == (404 if UNKNOWN_ID in path or "nope" in path else 400)


async def test_a_missing_scope_is_named(stranger: httpx.AsyncClient, database: Database) -> None:
    narrow = await factories.make_organization(database, scopes=["content:read"])

    response = await stranger.post("/v1/chat/completions", headers=narrow.headers, json={})

    assert response.status_code == 403
    assert response.json() == {
        "error": {
            "message": "API key lacks required scope: orchestrator:invoke",
            "type": "permission_error",
            "code": "scope_not_allowed",
        }
    }
