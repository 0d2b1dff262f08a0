"""No organization sees anything of another on any route of the server's OpenAPI document."""

from collections.abc import Mapping

import httpx

from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.tenancy.tenants import UNKNOWN, Route, Tenant

CHAT = "/api/external/v1/chat/completions"
# Documented to be open to any key.
SCOPELESS = {
    "GET /api/external/credits",
    "GET /api/external/v1/models",
    "GET /api/external/v1/models/{model_id}",
}


async def test_ids_of_another_organization_are_unknown(
    anyone: httpx.AsyncClient, routes: list[Route], owner: Tenant, stranger: Tenant
) -> None:
    named = [route for route in routes if route.has_id]
    assert named

    for route in named:
        own = await route.ask(anyone, owner.ids, headers=owner.organization.headers)
        foreign = await route.ask(anyone, owner.ids, headers=stranger.organization.headers)
        unknown = await route.ask(anyone, UNKNOWN, headers=stranger.organization.headers)

        assert own.status_code != 404, str(route)
        assert foreign.status_code == unknown.status_code == 404, str(route)
        assert _without(foreign.text, owner.ids) == _without(unknown.text, UNKNOWN), str(route)


async def test_lists_show_only_what_belongs_to_the_organization(
    anyone: httpx.AsyncClient, routes: list[Route], owner: Tenant, stranger: Tenant
) -> None:
    lists = [route for route in routes if route.method == "GET" and not route.has_id]
    assert lists

    for route in lists:
        shown = {
            tenant.organization.id: (await route.ask(anyone, {}, headers=tenant.organization.headers)).text
            for tenant in (owner, stranger)
        }
        for tenant, other in ((owner, stranger), (stranger, owner)):
            text = shown[tenant.organization.id]
            assert not [secret for secret in other.identifiers if secret in text], str(route)
            is_listed = any(identifier in text for identifier in tenant.identifiers)
            assert is_listed or route.path.endswith("/credits"), str(route)


async def test_a_key_without_the_scope_cannot_learn_which_ids_exist(
    anyone: httpx.AsyncClient, database: Database, routes: list[Route], owner: Tenant, stranger: Tenant
) -> None:
    open_to_all = {str(route) for route in routes}
    for scope in ALL_SCOPES:
        others = [name for name in ALL_SCOPES if name != scope]
        headers = {"X-API-Key": await factories.make_key(database, owner.organization, *others)}
        for route in routes:
            foreign = await route.ask(anyone, stranger.ids, headers=headers)
            if foreign.status_code != 403:
                assert not route.has_id or foreign.status_code == 404, str(route)
                continue
            open_to_all.discard(str(route))
            for ids in (owner.ids, UNKNOWN):
                refused = await route.ask(anyone, ids, headers=headers)
                assert (refused.status_code, refused.text) == (403, foreign.text), str(route)

    assert open_to_all == SCOPELESS


async def test_ids_of_another_organization_in_a_body_are_unknown(
    anyone: httpx.AsyncClient, owner: Tenant, stranger: Tenant
) -> None:
    hello = {"messages": [{"role": "user", "content": "Hello"}]}
    headers = stranger.organization.headers

    agent = await anyone.post(CHAT, headers=headers, json=hello | {"model": owner.ids["model_id"]})
    session = await anyone.post(CHAT, headers=headers, json=hello | {"session_id": owner.ids["session_id"]})

    assert (agent.status_code, agent.json()["error"]["code"]) == (404, "agent_not_found")
    assert (session.status_code, session.json()["error"]["code"]) == (404, "session_not_found")


async def test_sessions_with_the_same_name_in_two_organizations_are_separate(
    stack: Stack, anyone: httpx.AsyncClient, owner: Tenant, stranger: Tenant
) -> None:
    name, words = owner.ids["session_id"], f"Hello from {stranger.organization.id}"
    chat = {"messages": [{"role": "user", "content": words}], "elevenlabs_extra_body": {"conversation_id": name}}

    response = await anyone.post(CHAT, headers=stranger.organization.headers, json=chat)

    assert response.headers["X-Session-ID"] == name
    (call,) = [entry for entry in stack.simulator.log("chat") if words in str(entry["request"])]
    assert owner.words not in str(call["request"])


def _without(text: str, ids: Mapping[str, str]) -> str:
    """The text without the ids that were in the request."""
    for name, value in ids.items():
        text = text.replace(value, f"{{{name}}}").replace(value.removeprefix("agent/"), f"{{{name}}}")
    return text
