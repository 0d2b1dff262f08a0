"""Who may change whom in an organization, and that an owner is left whatever runs at once."""

import asyncio

import pytest

from app.audit.actor import COMMAND_LINE, Actor, ActorKind
from app.core.database import Database
from app.organizations import members
from app.organizations import service as organizations
from app.organizations.errors import LastOwnerError, MemberNotFoundError, MemberRuleError
from app.organizations.models import MembershipRole
from tests import factories
from tests.factories import Organization

OWNER, ADMIN, MEMBER, VIEWER = MembershipRole


async def add(database: Database, organization: Organization, role: MembershipRole) -> Actor:
    """A new member of that role."""
    async with database.transaction() as tx:
        email = f"{role}.{organization.name[4:]}.{await tx.fetchval('SELECT gen_random_uuid()::text')}@example.com"
        user = await organizations.ensure_user(tx, email, actor=COMMAND_LINE)
        await organizations.add_member(tx, organization.id, user.id, role, actor=COMMAND_LINE)
    return Actor(ActorKind.USER, user.id)


def id_of(actor: Actor) -> str:
    assert actor.id
    return actor.id


async def roles_in(database: Database, organization: Organization) -> dict[str, str]:
    """The roles of the members who are not suspended, by their ids."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT user_id, role FROM memberships WHERE organization_id = $1 AND suspended_at IS NULL", organization.id
        )
    return {row["user_id"]: row["role"] for row in rows}


@pytest.mark.parametrize("actor_role", list(MembershipRole))
@pytest.mark.parametrize("target_role", list(MembershipRole))
@pytest.mark.parametrize("new_role", list(MembershipRole))
async def test_who_may_give_whom_which_role(
    database: Database,
    organization: Organization,
    actor_role: MembershipRole,
    target_role: MembershipRole,
    new_role: MembershipRole,
) -> None:
    actor, target = await add(database, organization, actor_role), await add(database, organization, target_role)
    touches_owners = OWNER in {target_role, new_role}
    may = actor_role is OWNER or (actor_role is ADMIN and not touches_owners)

    refused = False
    try:
        async with database.transaction() as tx:
            await members.change_role(tx, organization.id, id_of(target), new_role, actor=actor)
    except MemberRuleError:
        refused = True

    if target_role is new_role and actor_role is ADMIN and target_role is not OWNER:
        may = True
    assert refused is not may
    assert (await roles_in(database, organization))[id_of(target)] == (new_role if may else target_role)


@pytest.mark.parametrize("act", [members.suspend, members.remove, members.reinstate])
async def test_admins_change_no_owner(database: Database, organization: Organization, act: object) -> None:
    admin = await add(database, organization, ADMIN)

    with pytest.raises(MemberRuleError):
        async with database.transaction() as tx:
            await act(tx, organization.id, organization.user_id, actor=admin)  # type: ignore[operator] # one of three

    assert (await roles_in(database, organization))[organization.user_id] == OWNER


@pytest.mark.parametrize("actor", [COMMAND_LINE, None], ids=["command line", "owner"])
async def test_the_last_owner_stays(database: Database, organization: Organization, actor: Actor | None) -> None:
    actor = actor or Actor(ActorKind.USER, organization.user_id)
    await add(database, organization, ADMIN)

    with pytest.raises(LastOwnerError):
        async with database.transaction() as tx:
            await members.change_role(tx, organization.id, organization.user_id, ADMIN, actor=actor)
    with pytest.raises(LastOwnerError):
        async with database.transaction() as tx:
            await members.remove(tx, organization.id, organization.user_id, actor=actor)
    with pytest.raises(MemberRuleError):
        async with database.transaction() as tx:
            await members.suspend(tx, organization.id, organization.user_id, actor=actor)

    assert (await roles_in(database, organization))[organization.user_id] == OWNER


async def test_a_suspended_owner_is_not_counted(database: Database, organization: Organization) -> None:
    other = await add(database, organization, OWNER)
    async with database.transaction() as tx:
        await members.suspend(tx, organization.id, id_of(other), actor=COMMAND_LINE)

    with pytest.raises(LastOwnerError):
        async with database.transaction() as tx:
            await members.remove(tx, organization.id, organization.user_id, actor=COMMAND_LINE)


async def test_a_suspended_manager_changes_nothing(database: Database, organization: Organization) -> None:
    admin, member = await add(database, organization, ADMIN), await add(database, organization, MEMBER)
    async with database.transaction() as tx:
        await members.suspend(tx, organization.id, id_of(admin), actor=COMMAND_LINE)

    with pytest.raises(MemberRuleError):
        async with database.transaction() as tx:
            await members.remove(tx, organization.id, id_of(member), actor=admin)


async def test_members_of_another_organization_are_out_of_reach(database: Database, organization: Organization) -> None:
    other = await factories.make_organization(database)
    owner = Actor(ActorKind.USER, organization.user_id)

    with pytest.raises(MemberNotFoundError):
        async with database.transaction() as tx:
            await members.remove(tx, organization.id, other.user_id, actor=owner)
    with pytest.raises(MemberRuleError):
        async with database.transaction() as tx:
            await members.remove(tx, other.id, other.user_id, actor=owner)


@pytest.mark.parametrize("act", ["demote", "remove", "suspend"])
async def test_of_two_owners_who_shut_each_other_out_at_once_one_is_left(
    database: Database, organization: Organization, act: str
) -> None:
    first, second = Actor(ActorKind.USER, organization.user_id), await add(database, organization, OWNER)
    both_began = asyncio.Barrier(2)

    async def shut_out(other: Actor, by: Actor) -> bool:
        try:
            async with database.transaction() as tx:
                await tx.fetchval("SELECT 1")
                await both_began.wait()
                if act == "demote":
                    await members.change_role(tx, organization.id, id_of(other), MEMBER, actor=by)
                elif act == "remove":
                    await members.remove(tx, organization.id, id_of(other), actor=by)
                else:
                    await members.suspend(tx, organization.id, id_of(other), actor=by)
        except MemberRuleError:
            return False
        return True

    done = await asyncio.gather(shut_out(second, first), shut_out(first, second))

    assert sorted(done) == [False, True]
    assert list((await roles_in(database, organization)).values()).count(OWNER) == 1
