import asyncio
from datetime import timedelta

import httpx
import pytest

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
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
    answer = await stranger.get("/credits", headers=headers)

    assert answer.status_code == 401
    assert answer.json() == MISSING
    assert answer.headers["www-authenticate"] == "ApiKey"


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

    answer = await stranger.get("/credits", headers=headers)

    assert answer.status_code == 401
    assert answer.json() == INVALID


async def test_a_key_with_bytes_that_are_no_text_is_invalid(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/credits", headers={b"X-API-Key": b"jns_live_\xff\xfe" + b"A" * 30})

    assert (answer.status_code, answer.json()) == (401, INVALID)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_is_taken_in_either_header(
    stranger: httpx.AsyncClient, organization: Organization, scheme: str
) -> None:
    alone = await stranger.get("/credits", headers={"X-API-Key": organization.api_key})
    bearer = await stranger.get("/credits", headers={"Authorization": f"{scheme} {organization.api_key}"})

    assert (alone.status_code, bearer.status_code) == (200, 200)


async def test_both_headers_may_show_the_same_key(stranger: httpx.AsyncClient, organization: Organization) -> None:
    key = organization.api_key

    answer = await stranger.get("/credits", headers={"X-API-Key": key, "Authorization": f"Bearer {key}"})

    assert answer.status_code == 200


async def test_two_keys_at_once_are_invalid_though_each_is_good(
    stranger: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    first, second = organization.api_key, await factories.make_key(database, organization, "content:read")

    for headers in (
        [("X-API-Key", first), ("Authorization", f"Bearer {second}")],
        [("X-API-Key", first), ("Authorization", f"Bearer {UNKNOWN}")],
        [("X-API-Key", first), ("X-API-Key", second)],
    ):
        answer = await stranger.get("/credits", headers=headers)

        assert (answer.status_code, answer.json()) == (401, INVALID)


async def test_a_scheme_that_is_no_bearer_is_not_looked_at(
    stranger: httpx.AsyncClient, organization: Organization
) -> None:
    headers = {"X-API-Key": organization.api_key, "Authorization": "Basic dXNlcjpwYXNz"}

    assert (await stranger.get("/credits", headers=headers)).status_code == 200


async def test_a_key_in_the_query_is_no_key(stranger: httpx.AsyncClient, organization: Organization) -> None:
    answer = await stranger.get("/credits", params={"api_key": organization.api_key})

    assert answer.json() == MISSING


async def test_a_revoked_key_is_invalid_within_moments(
    client: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    assert (await client.get("/credits")).status_code == 200
    async with database.transaction() as tx:
        (key,) = await api_keys.list_keys(tx, organization.id)
        await api_keys.revoke_key(tx, organization.id, key.id, actor=COMMAND_LINE)

    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.get("/credits")
            if answer.status_code != 200:
                break
    assert (answer.status_code, answer.json()) == (401, INVALID)


async def test_an_expired_key_is_invalid(
    stranger: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    expires_at = now() + timedelta(milliseconds=200)
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="brief", expires_at=expires_at),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        secret = new.secret
    await stranger.get("/credits", headers={"X-API-Key": secret})
    await asyncio.sleep((expires_at - now()).total_seconds())

    answer = await stranger.get("/credits", headers={"X-API-Key": secret})

    assert (answer.status_code, answer.json()) == (401, INVALID)


async def test_a_key_that_expires_later_is_good(
    stranger: httpx.AsyncClient, organization: Organization, database: Database
) -> None:
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="long", expires_at=now() + timedelta(hours=1)),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        secret = new.secret

    assert (await stranger.get("/credits", headers={"X-API-Key": secret})).status_code == 200


async def test_a_key_is_kept_as_its_hash_and_beginning_only(organization: Organization, database: Database) -> None:
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
        answer = await stranger.get(path, headers=lapsed.headers)

        assert answer.status_code == 403
        assert answer.json()["error"]["type"] == "permission_error"
        assert answer.json()["error"]["code"] == "subscription_required"
