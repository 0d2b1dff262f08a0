"""Who may read which session, whatever its name is."""

import uuid
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.factories import Organization
from tests.sessions.conversations import insert_session, insert_talk, make_colleague


@pytest.mark.parametrize("name", ["a/b", "a/messages", "a/status", "what?#%", "ü 🦊", "%2F", "..."])
async def test_a_client_may_give_a_session_any_name(
    client: httpx.AsyncClient, database: Database, organization: Organization, name: str
) -> None:
    await insert_talk(database, organization, {"role": "user", "content": "Hello"}, public_id=name)

    messages = await client.get(f"/sessions/{quote(name, safe='')}/messages")
    status = await client.get(f"/sessions/{quote(name, safe='')}/status")

    assert (messages.json()["session_id"], messages.json()["total"]) == (name, 1)
    assert (status.json()["session_id"], status.json()["message_count"]) == (name, 1)


@pytest.mark.parametrize("what", ["messages", "status"])
@pytest.mark.parametrize("name", ["unknown", "", "\0", str(uuid.UUID(int=0)), "x" * 2000])
async def test_a_session_that_does_not_exist_is_not_found(client: httpx.AsyncClient, name: str, what: str) -> None:
    response = await client.get(f"/sessions/{quote(name)}/{what}")

    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "message": f"Session not found: {name}",
            "type": "not_found_error",
            "code": "session_not_found",
        }
    }


async def test_sessions_of_other_users_are_not_shown(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    colleague = await make_colleague(database, organization)
    stranger = await factories.make_organization(database)
    same_user_elsewhere = replace(organization, id=stranger.id)
    hello = {"role": "user", "content": "Hello"}
    own = await insert_talk(database, organization, hello, public_id="shared name")
    for other in (colleague, stranger, same_user_elsewhere):
        await insert_talk(database, other, hello, hello, public_id="shared name")
        await insert_talk(database, other, hello, public_id="their name")

    page = (await client.get("/sessions")).json()
    theirs = [await client.get(f"/sessions/their name/{what}") for what in ("messages", "status")]
    messages = (await client.get("/sessions/shared name/messages")).json()

    assert [session["session_id"] for session in page["sessions"]] == [own.public_id]
    assert page["total"] == 1
    assert [response.json()["error"]["code"] for response in theirs] == ["session_not_found"] * 2
    assert (len(messages["messages"]), messages["total"]) == (1, 1)
    for other in (colleague, stranger):
        assert (await client.get("/sessions", headers=other.headers)).json()["total"] == 2


@pytest.mark.parametrize("path", ["/sessions", "/sessions/unknown/messages"])
@pytest.mark.parametrize(("name", "value"), [("page", "0"), ("page", "x"), ("page_size", "0"), ("page_size", "101")])
async def test_an_invalid_page_is_refused(client: httpx.AsyncClient, path: str, name: str, value: str) -> None:
    response = await client.get(path, params={name: value})

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_request", name)


@pytest.mark.parametrize("path", ["/sessions", "/sessions/own/messages", "/sessions/own/status"])
async def test_only_a_key_with_the_scope_may_read_sessions(
    client: httpx.AsyncClient, database: Database, organization: Organization, path: str
) -> None:
    await insert_session(database, organization, public_id="own")
    fitting = await factories.make_key(database, organization, "sessions:read")
    others = [scope for scope in ALL_SCOPES if scope != "sessions:read"]
    unfitting = await factories.make_key(database, organization, *others)

    assert (await client.get(path, headers={"X-API-Key": fitting})).status_code == 200
    refused = await client.get(path, headers={"X-API-Key": unfitting})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_not_allowed")
