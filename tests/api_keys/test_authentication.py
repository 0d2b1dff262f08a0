import asyncio
from datetime import timedelta

import httpx
import pytest

from app.api_keys import service as api_keys
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.factories import Organization
from tests.waiting import PATIENCE

MISSING = {
    "error": {
        "message": "Missing API key. Send it as 'X-API-Key' or as 'Authorization: Bearer'.",
        "type": "authentication_error",
        "code": "missing_api_key",
    }
}
INVALID = {"error": {"message": "Invalid API key", "type": "authentication_error", "code": "invalid_api_key"}}
SEVERAL = {
    "error": {
        "message": "Two different API keys were sent. Send one, as 'X-API-Key' or as 'Authorization: Bearer'.",
        "type": "authentication_error",
        "code": "invalid_api_key",
    }
}
UNKNOWN = "jns_live_" + "A" * 32


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
    ],
)
async def test_without_a_key(stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await stranger.get("/credits", headers=headers)

    assert response.status_code == 401
    assert response.json() == MISSING
    assert response.headers["www-authenticate"] == "ApiKey"


@pytest.mark.parametrize(
    "key",
    [
        UNKNOWN,
        "x",
        "jns_live_",
        UNKNOWN[:-1],
        UNKNOWN + "A",
        "jns_test_" + "A" * 32,
        "JNS_LIVE_" + "A" * 32,
        "jns_live_" + "-" * 32,
        "jns_live_' OR 1=1 --",
        "A" * 5000,
    ],
)
@pytest.mark.parametrize("form", ["X-API-Key", "Bearer"])
async def test_a_key_that_is_malformed_or_unknown(stranger: httpx.AsyncClient, key: str, form: str) -> None:
    headers = {"X-API-Key": key} if form == "X-API-Key" else {"Authorization": f"Bearer {key}"}

    response = await stranger.get("/credits", headers=headers)

    assert response.status_code == 401
    assert response.json() == INVALID


async def test_a_key_that_is_not_valid_text_is_invalid(stranger: httpx.AsyncClient) -> None:
    response = await stranger.get("/credits", headers={b"X-API-Key": b"jns_live_\xff\xfe" + b"A" * 30})

    assert (response.status_code, response.json()) == (401, INVALID)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_is_accepted_in_either_header(
    stranger: httpx.AsyncClient, organization: Organization, scheme: str
) -> None:
    alone = await stranger.get("/credits", headers={"X-API-Key": organization.api_key})
    bearer = await stranger.get("/credits", headers={"Authorization": f"{scheme} {organization.api_key}"})

    assert (alone.status_code, bearer.status_code) == (200, 200)


async def test_both_headers_may_hold_the_same_key(stranger: httpx.AsyncClient, organization: Organization) -> None:
    key = organization.api_key

    response = await stranger.get("/credits", headers={"X-API-Key": key, "Authorization": f"Bearer {key}"})

    assert response.status_code == 200


async def test_two_different_keys_in_one_request_are_invalid_even_if_both_are_valid(
    stranger: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    first, second = organization.api_key, await factories.make_key(database, organization, "content:read")

    for headers in (
        [("X-API-Key", first), ("Authorization", f"Bearer {second}")],
        [("X-API-Key", first), ("Authorization", f"Bearer {UNKNOWN}")],
        [("X-API-Key", first), ("X-API-Key", second)],
    ):
        response = await stranger.get("/credits", headers=headers)

        assert (response.status_code, response.json()) == (401, SEVERAL)


@pytest.mark.parametrize("dummy", ["sk-dummy", "not-needed", "JNS_LIVE_x", "eyJhbGciOi.J9.x"])
async def test_a_bearer_that_is_no_key_of_ours_is_passed_over_beside_a_key(
    stranger: httpx.AsyncClient, organization: Organization, dummy: str
) -> None:
    headers = {"X-API-Key": organization.api_key, "Authorization": f"Bearer {dummy}"}

    assert (await stranger.get("/credits", headers=headers)).status_code == 200


async def test_a_bearer_that_is_no_key_of_ours_does_not_make_a_bad_key_good(stranger: httpx.AsyncClient) -> None:
    headers = {"X-API-Key": UNKNOWN, "Authorization": "Bearer sk-dummy"}

    response = await stranger.get("/credits", headers=headers)

    assert (response.status_code, response.json()) == (401, INVALID)


async def test_an_authorization_scheme_other_than_bearer_is_ignored(
    stranger: httpx.AsyncClient, organization: Organization
) -> None:
    headers = {"X-API-Key": organization.api_key, "Authorization": "Basic dXNlcjpwYXNz"}

    assert (await stranger.get("/credits", headers=headers)).status_code == 200


async def test_a_key_in_the_query_is_ignored(stranger: httpx.AsyncClient, organization: Organization) -> None:
    response = await stranger.get("/credits", params={"api_key": organization.api_key})

    assert response.json() == MISSING


async def test_a_revoked_key_is_invalid_within_moments(
    client: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    assert (await client.get("/credits")).status_code == 200
    async with database.transaction() as tx:
        (key,) = await api_keys.list_keys(tx, organization.id)
        await api_keys.revoke_key(tx, organization.id, key.id, actor=COMMAND_LINE)

    async with asyncio.timeout(PATIENCE):
        while True:
            response = await client.get("/credits")
            if response.status_code != 200:
                break
    assert (response.status_code, response.json()) == (401, INVALID)


async def test_an_expired_key_is_invalid(
    stranger: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    expires_at = now() + timedelta(milliseconds=200)
    secret = await factories.make_key(database, organization, expires_at=expires_at)
    await stranger.get("/credits", headers={"X-API-Key": secret})
    await asyncio.sleep((expires_at - now()).total_seconds())

    response = await stranger.get("/credits", headers={"X-API-Key": secret})

    assert (response.status_code, response.json()) == (401, INVALID)


async def test_a_key_that_expires_later_is_valid(
    stranger: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    secret = await factories.make_key(database, organization, expires_at=now() + timedelta(hours=1))

    assert (await stranger.get("/credits", headers={"X-API-Key": secret})).status_code == 200


async def test_only_the_hash_and_the_prefix_of_a_key_are_stored(organization: Organization, database: Database) -> None:
    secret = organization.api_key
    async with database.transaction() as tx:
        row = await tx.fetchval("SELECT to_jsonb(k)::text FROM api_keys k WHERE organization_id = $1", organization.id)

    assert f'"{secret[:13]}"' in row
    assert secret not in row
    assert secret[13:] not in row


async def test_an_inactive_subscription_is_refused_before_the_scope(
    stranger: httpx.AsyncClient, database: Database
) -> None:
    lapsed = await factories.make_organization(database, scopes=["content:read"])
    async with database.transaction() as tx:
        await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", lapsed.id)

    for path in ("/credits", "/content", "/sessions"):
        response = await stranger.get(path, headers=lapsed.headers)

        assert response.status_code == 403
        assert response.json()["error"]["type"] == "permission_error"
        assert response.json()["error"]["code"] == "subscription_required"
