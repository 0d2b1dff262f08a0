"""The members' pages: who sees and does what there."""

from pathlib import Path

import httpx
import pytest

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations
from app.organizations.models import MembershipRole
from tests import factories
from tests.admin.conftest import Browser, BrowserOf, add_user
from tests.admin.inviting import role_of
from tests.conftest import Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis
from tests.waiting import until


@pytest.mark.parametrize(
    ("role", "may_manage"), [("owner", True), ("admin", True), ("member", False), ("viewer", False)]
)
async def test_everybody_sees_who_is_in_it_and_managers_can_change_that(
    owner_browser: Browser, browser_of: BrowserOf, role: str, may_manage: bool
) -> None:
    reader = owner_browser if role == "owner" else await browser_of(role)

    page = await reader.get("/members")

    assert page.status_code == 200
    assert owner_browser.email in page.text
    assert ("Make invitation link" in page.text) is may_manage


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_only_managers_change_members(owner_browser: Browser, browser_of: BrowserOf, role: str) -> None:
    reader, other = await browser_of(role), await browser_of("member")
    refusals = [
        await reader.get(f"/members/{other.user_id}/remove"),
        await reader.get(f"/members/{other.user_id}/suspend"),
        await reader.submit("/members/invite", email="eve@example.com", role="admin"),
        await reader.submit(f"/members/{other.user_id}/role", role="viewer"),
        await reader.submit(f"/members/{other.user_id}/suspend"),
        await reader.submit(f"/members/{other.user_id}/reinstate"),
        await reader.submit(f"/members/{other.user_id}/remove", confirm=other.email),
    ]

    assert [refused.status_code for refused in refusals] == [403] * len(refusals)
    assert "owners and admins" in refusals[0].text


async def test_members_of_another_organization_are_not_found(database: Database, owner_browser: Browser) -> None:
    other = await factories.make_organization(database)

    found = [
        await owner_browser.get(f"/members/{other.user_id}/remove"),
        await owner_browser.submit(f"/members/{other.user_id}/role", role="viewer"),
        await owner_browser.submit(f"/members/{other.user_id}/suspend"),
        await owner_browser.submit(f"/members/{other.user_id}/remove", confirm="x"),
    ]

    assert [response.status_code for response in found] == [404] * len(found)


async def test_a_role_is_changed_in_its_row(
    database: Database, organization: Organization, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    member = await browser_of("member")
    form = await owner_browser.get(f"/members?edit={member.user_id}")

    changed = await owner_browser.submit(f"/members/{member.user_id}/role", role="admin")
    page = await owner_browser.get("/members")

    assert f"/admin/members/{member.user_id}/role" in form.text
    assert changed.status_code == 303
    assert f"{member.email} is admin now." in page.text
    assert await role_of(database, organization, member.email) == "admin"
    assert "Make invitation link" in (await member.get("/members")).text


async def test_an_admin_makes_no_owner(
    database: Database, organization: Organization, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    admin, member = await browser_of("admin"), await browser_of("member")

    refusals = [
        await admin.submit(f"/members/{member.user_id}/role", role="owner"),
        await admin.submit("/members/invite", email="eve@example.com", role="owner"),
        await admin.submit(f"/members/{owner_browser.user_id}/role", role="viewer"),
        await admin.submit(f"/members/{owner_browser.user_id}/remove", confirm=owner_browser.email),
    ]
    page = await admin.get(f"/members/{owner_browser.user_id}/remove")

    assert [refused.status_code for refused in refusals] == [422] * 4
    assert "Only an owner makes owners, or changes one." in refusals[0].text
    assert page.status_code == 403
    assert await role_of(database, organization, member.email) == "member"
    assert await role_of(database, organization, owner_browser.email) == "owner"


async def test_the_last_owner_can_be_neither_removed_nor_demoted(
    database: Database, organization: Organization, owner_browser: Browser
) -> None:
    own = owner_browser.user_id
    page = await owner_browser.get("/members")

    demoted = await owner_browser.submit(f"/members/{own}/role", role="admin")
    removed = await owner_browser.submit(f"/members/{own}/remove", confirm=owner_browser.email)
    asked = await owner_browser.get(f"/members/{own}/remove")

    assert "The last owner stays owner." in page.text
    assert (demoted.status_code, removed.status_code, asked.status_code) == (422, 422, 403)
    assert "Make somebody else an owner first." in removed.text
    assert await role_of(database, organization, owner_browser.email) == "owner"


async def test_a_member_is_removed_only_if_the_address_is_typed(
    stack: Stack, database: Database, organization: Organization, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    member = await browser_of("member")
    key = await factories.make_key(database, Organization(organization.id, "", member.user_id, ""))
    asked = await owner_browser.get(f"/members/{member.user_id}/remove")

    refused = await owner_browser.submit(f"/members/{member.user_id}/remove", confirm="somebody@example.com")
    removed = await owner_browser.submit(f"/members/{member.user_id}/remove", confirm=member.email.upper())

    assert "1 key made by this member is revoked for good" in asked.text
    assert refused.status_code == 422
    assert "Nobody was removed." in refused.text
    assert "somebody@example.com" in refused.text
    assert removed.status_code == 303
    assert await role_of(database, organization, member.email) is None
    assert (await member.get("/account")).status_code == 303
    await let_in_again(database, organization, member)
    async with httpx.AsyncClient(base_url=stack.base_url) as client:
        assert (await client.get("/credits", headers={"X-API-Key": key})).status_code == 401


async def let_in_again(database: Database, organization: Organization, member: Browser) -> None:
    async with database.transaction() as tx:
        await organizations.add_member(tx, organization.id, member.user_id, MembershipRole.MEMBER, actor=COMMAND_LINE)


async def test_a_suspended_members_keys_stop_at_once_on_every_process(
    environment: dict[str, str],
    run_folder: Path,
    database: Database,
    organization: Organization,
    owner_browser: Browser,
    browser_of: BrowserOf,
) -> None:
    member = await browser_of("member")
    key = await factories.make_key(database, Organization(organization.id, "", member.user_id, ""))
    apis = [api_process(environment, run_folder / f"api-of-members-{number}.log") for number in range(2)]
    async with running_apis(*apis), httpx.AsyncClient(timeout=60) as client:

        async def statuses(secret: str) -> list[int]:
            headers = {"X-API-Key": secret}
            return [(await client.get(f"{api.base_url}/credits", headers=headers)).status_code for api in apis]

        async def all_are(status: int) -> bool:
            return set(await statuses(key)) == {status}

        before = await statuses(key)
        suspended = await owner_browser.submit(f"/members/{member.user_id}/suspend")
        during = await until(lambda: all_are(401))
        owners = await statuses(organization.api_key)
        console = await member.get("/account")
        again = await member.sign_in()
        inside = await member.get("/members")
        await owner_browser.submit(f"/members/{member.user_id}/reinstate")
        after = await until(lambda: all_are(200))

    assert during
    assert after
    assert (before, owners) == ([200, 200], [200, 200])
    assert suspended.status_code == 303
    assert console.status_code == 303
    assert (again.status_code, inside.status_code) == (303, 403)
    assert "no longer in an organization" in inside.text


async def test_two_organizations_are_switched_between(
    stack: Stack, database: Database, organization: Organization, owner_browser: Browser
) -> None:
    other, strange = await factories.make_organization(database), await factories.make_organization(database)
    async with database.transaction() as tx:
        await organizations.add_member(tx, other.id, owner_browser.user_id, MembershipRole.VIEWER, actor=COMMAND_LINE)
    await owner_browser.submit("/switch", organization=organization.id)

    switched = await owner_browser.submit("/switch", organization=other.id)
    there = await owner_browser.get("/members")
    refused = await owner_browser.submit("/switch", organization=strange.id)
    async with Browser(stack, email=owner_browser.email, organization=None) as elsewhere:
        await elsewhere.sign_in()
        await elsewhere.submit("/switch", organization=organization.id)
        own = await elsewhere.get("/members")
    still = await owner_browser.get("/members")

    assert switched.status_code == 303
    assert "Make invitation link" not in there.text  # a viewer there
    assert refused.status_code == 404
    assert "Make invitation link" in own.text
    assert "Make invitation link" not in still.text


async def test_a_user_in_no_organization_is_told_so(database: Database, browser_of: BrowserOf) -> None:
    nobody = await browser_of("member", None)

    page, account = await nobody.get("/members"), await nobody.get("/account")

    assert (page.status_code, account.status_code) == (403, 200)
    assert "no longer in an organization" in page.text


async def test_every_change_is_in_the_audit_log(
    database: Database, organization: Organization, owner_browser: Browser
) -> None:
    user_id, email = await add_user(database, organization)

    await owner_browser.submit(f"/members/{user_id}/role", role="viewer")
    await owner_browser.submit(f"/members/{user_id}/suspend")
    await owner_browser.submit(f"/members/{user_id}/reinstate")
    await owner_browser.submit(f"/members/{user_id}/remove", confirm=email)

    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT event, before->>'role' AS former, after->>'role' AS role FROM audit_events"
            " WHERE actor_id = $1 AND organization_id = $2 AND object_id = $3 ORDER BY id",
            owner_browser.user_id,
            organization.id,
            user_id,
        )
    assert [tuple(row) for row in rows] == [
        ("member_role_changed", "member", "viewer"),
        ("member_suspended", None, None),
        ("member_reinstated", None, None),
        ("member_removed", "viewer", None),
    ]
