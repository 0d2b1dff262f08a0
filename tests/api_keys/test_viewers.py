import secrets

import httpx

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import members
from app.organizations import service as organizations
from app.organizations.models import MembershipRole
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import until

_HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


async def test_the_key_of_a_member_who_becomes_a_viewer_only_looks(
    stack: Stack, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        user = await organizations.ensure_user(tx, f"{secrets.token_hex(6)}@example.com", actor=COMMAND_LINE)
        await organizations.add_member(tx, organization.id, user.id, MembershipRole.MEMBER, actor=COMMAND_LINE)
    key = await factories.make_key(database, Organization(organization.id, "", user.id, ""))

    async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": key}, timeout=60) as client:
        before = await client.post("/v1/chat/completions", json=_HELLO)
        await _give(database, organization, user.id, MembershipRole.VIEWER)

        async def is_refused() -> bool:
            return (await client.post("/v1/chat/completions", json=_HELLO)).status_code == 403

        refused = await until(is_refused)
        listed = await client.get("/agents")
        await _give(database, organization, user.id, MembershipRole.MEMBER)

        async def is_answered() -> bool:
            return (await client.post("/v1/chat/completions", json=_HELLO)).status_code == 200

        answered = await until(is_answered)

    assert (before.status_code, listed.status_code) == (200, 200)
    assert refused
    assert answered


async def _give(database: Database, organization: Organization, user_id: str, role: MembershipRole) -> None:
    async with database.transaction() as tx:
        await members.change_role(tx, organization.id, user_id, role, actor=COMMAND_LINE)
