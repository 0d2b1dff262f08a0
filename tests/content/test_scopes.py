import httpx
import pytest

from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES
from app.core.database import Database
from tests import factories
from tests.content.contents import insert_content
from tests.factories import Organization

READ = ("GET", "/content"), ("GET", "/content/550e8400-e29b-41d4-a716-446655440000")
RETRY = ("POST", "/content/550e8400-e29b-41d4-a716-446655440000/retry")


async def ask(reader: httpx.AsyncClient, database: Database, route: tuple[str, str], *scopes: str) -> httpx.Response:
    """The response to a key with these scopes, or with the default ones if there are none."""
    organization = await factories.make_organization(database, scopes=scopes)
    method, path = route
    return await reader.request(method, path, headers=organization.headers)


@pytest.mark.parametrize(
    ("route", "needed"), [(READ[0], "content:read"), (READ[1], "content:read"), (RETRY, "content:retry")]
)
async def test_a_missing_scope_is_refused_as_documented(
    reader: httpx.AsyncClient, database: Database, route: tuple[str, str], needed: str
) -> None:
    response = await ask(reader, database, route, "sessions:read", "orchestrator:invoke")

    assert response.status_code == 403
    assert response.text == (
        '{"error":"insufficient_scopes","message":"API key does not have required permissions",'
        f'"required_scopes":["{needed}"],"missing_scopes":["{needed}"],'
        '"available_scopes":["orchestrator:invoke","sessions:read"]}'
    )


async def test_content_is_not_among_the_default_scopes(reader: httpx.AsyncClient, database: Database) -> None:
    for route in (*READ, RETRY):
        response = await ask(reader, database, route)

        assert response.status_code == 403
        assert set(response.json()["available_scopes"]) == set(DEFAULT_SCOPES)


@pytest.mark.parametrize(
    ("scope", "listing", "detail", "retry"), [("content:read", 200, 404, 403), ("content:retry", 403, 403, 404)]
)
async def test_reading_and_retrying_are_scopes_of_their_own(
    reader: httpx.AsyncClient, database: Database, scope: str, listing: int, detail: int, retry: int
) -> None:
    responses = [await ask(reader, database, route, scope) for route in (*READ, RETRY)]

    assert [response.status_code for response in responses] == [listing, detail, retry]


async def test_a_key_without_the_scope_cannot_learn_what_exists(
    reader: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    key = await factories.make_key(database, organization, *(set(ALL_SCOPES) - {"content:read"}))
    content = await insert_content(database, organization)

    for path in (f"/content/{content.id}", "/content/nope", "/content?page=abc", "/content?status=unknown"):
        response = await reader.get(path, headers={"X-API-Key": key})

        assert response.status_code == 403
