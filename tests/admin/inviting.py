"""Invitations made through the page."""

import re
from html import unescape

import httpx

from app.core.database import Database
from tests.admin.conftest import Browser
from tests.factories import Organization

LINK = re.compile(r'<code id="inv">([^<]+)</code>')


async def invite(manager: Browser, email: str, role: str = "member") -> str:
    """Invite somebody through the page; returns the path of the link below the console's."""
    made = await manager.submit("/members/invite", email=email, role=role)
    assert (made.status_code, made.headers["location"]) == (303, "/admin/members")
    return link_in(await manager.get("/members"))


def link_in(page: httpx.Response) -> str:
    found = LINK.search(page.text)
    assert found, page.text
    return unescape(found[1]).partition("/admin")[2]


async def role_of(database: Database, organization: Organization, email: str) -> str | None:
    """The role of the user with that address; None for somebody who is no member."""
    async with database.transaction() as tx:
        role: str | None = await tx.fetchval(
            "SELECT role FROM memberships m JOIN users u ON u.id = m.user_id"
            " WHERE m.organization_id = $1 AND lower(u.email) = lower($2)",
            organization.id,
            email,
        )
    return role
