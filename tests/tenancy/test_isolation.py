"""No organization sees anything of another by what it names in a body."""

import secrets

import httpx

from tests.conftest import Stack
from tests.tenancy.tenants import Tenant

CHAT = "/api/external/v1/chat/completions"


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
    name = f"talk-{secrets.token_hex(8)}"

    for tenant in (owner, stranger):
        words = f"Hello from {tenant.organization.id}"
        chat = {"messages": [{"role": "user", "content": words}], "elevenlabs_extra_body": {"conversation_id": name}}
        response = await anyone.post(CHAT, headers=tenant.organization.headers, json=chat)
        assert response.headers["X-Session-ID"] == name

    (call,) = [entry for entry in stack.simulator.log("chat") if words in str(entry["request"])]
    assert owner.organization.id not in str(call["request"])
