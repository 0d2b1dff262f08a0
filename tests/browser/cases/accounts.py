"""The doors, the account, and the members' pages with members and invitations in every state."""

import secrets

from app.accounts import invitations
from app.accounts.exclusion import suspend_member
from app.accounts.invitations import NewInvitation
from app.accounts.one_time_links import make_link
from app.audit.actor import COMMAND_LINE, Actor, ActorKind
from app.core.database import Transaction
from app.organizations import profiles
from app.organizations import service as organizations
from app.organizations.models import MembershipRole, User
from tests.browser.world import Case, World


async def pages(world: World) -> list[Case]:
    organization_id = world.organization.id
    owner = Actor(ActorKind.USER, world.organization.user_id)

    async def user_of(tx: Transaction, email: str) -> User:
        return await organizations.ensure_user(tx, email, actor=COMMAND_LINE)

    async def invite(tx: Transaction, email: str, role: str = "member") -> NewInvitation:
        return await invitations.invite(tx, organization_id, email=email, role=MembershipRole(role), actor=owner)

    some = secrets.token_hex(4)
    async with world.database.transaction() as tx:
        suspended = await user_of(tx, f"deniz-{some}@fernhill.example")
        profiles.change_name(tx, suspended, "Deniz Aydin", actor=COMMAND_LINE)
        long = await user_of(tx, f"{'long' * 15}{some}@{'example' * 8}.example.com")
        for user in (suspended, long):
            await organizations.add_member(tx, organization_id, user.id, MembershipRole.MEMBER, actor=COMMAND_LINE)
        await suspend_member(tx, organization_id, suspended.id, actor=owner)
        stranger = await user_of(tx, f"jun-{some}@fernhill.example")
        new, known = await invite(tx, f"mina-{some}@fernhill.example"), await invite(tx, stranger.email, "admin")
        widest = await invite(tx, f"{'w' * 60}{some}@fernhill.example", "viewer")
        ended = await invite(tx, f"late-{some}@fernhill.example")
        await tx.execute("UPDATE invitations SET expires_at = now() WHERE id = $1", ended.id)
        viewer = await organizations.find_user(tx, world.emails["viewer"])
        assert viewer
        link = await make_link(tx, viewer, actor=COMMAND_LINE)
    return [
        Case("sign-in", "/sign-in", as_role="nobody"),
        Case("first-steps", f"/first-steps/{link.token}", as_role="nobody"),
        Case("link-ended", f"/first-steps/{'x' * 43}", as_role="nobody"),
        Case("invitation", f"/invitations/{new.token}", as_role="nobody"),
        Case("invitation-known", f"/invitations/{known.token}", as_role="nobody"),
        Case("invitation-of-another", f"/invitations/{new.token}", as_role="member"),
        Case("invitation-ended", f"/invitations/{ended.token}", as_role="nobody"),
        Case("account", "/account"),
        Case("account-viewer", "/account", as_role="viewer"),
        Case("members", "/members"),
        Case("members-edit", f"/members?edit={long.id}"),
        Case("members-admin", "/members", as_role="admin"),
        Case("members-viewer", "/members", as_role="viewer"),
        Case("member-suspend", f"/members/{long.id}/suspend"),
        Case("member-remove", f"/members/{long.id}/remove"),
        Case("invitation-withdraw", f"/members/invitations/{widest.id}/withdraw"),
    ]
