import secrets
from dataclasses import dataclass
from decimal import Decimal

import pytest
from argon2 import PasswordHasher

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.organizations import service as organizations
from app.organizations.errors import (
    MemberNotFoundError,
    OrganizationExistsError,
    OrganizationNotFoundError,
    PlanIncompleteError,
    PlanNotFoundError,
)
from app.organizations.models import Organization


@dataclass(frozen=True)
class Names:
    """A name and an email address that no other test uses."""

    organization: str
    email: str


@pytest.fixture
def names() -> Names:
    word = secrets.token_hex(6)
    return Names(f"Org {word}", f"Ada.{word}@Example.com")


async def test_an_organization_has_an_owner_and_an_active_subscription(database: Database, names: Names) -> None:
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx,
            name=f"  {names.organization} ",
            plan="pro",
            owner_email=names.email,
            actor=COMMAND_LINE,
        )

    async with database.transaction() as tx:
        by_id = await organizations.get_organization(tx, made.id)
        by_name = await organizations.get_organization(tx, names.organization)
        owner = await organizations.get_member(tx, by_id, None)
        same = await organizations.get_member(tx, by_id, names.email.upper())
        assert by_id is by_name
        assert (by_id.name, by_id.plan_name, by_id.subscription_status) == (names.organization, "pro", "active")
        assert owner.id == same.id
        assert by_id in await organizations.list_organizations(tx)


async def test_a_user_may_own_several_organizations(database: Database, names: Names) -> None:
    async with database.transaction() as tx:
        first = await organizations.create_organization(
            tx,
            name=names.organization,
            plan="basic",
            owner_email=names.email,
            actor=COMMAND_LINE,
        )
        second = await organizations.create_organization(
            tx,
            name=f"{names.organization} 2",
            plan="basic",
            owner_email=names.email.lower(),
            actor=COMMAND_LINE,
        )

        owners = [await organizations.get_member(tx, made, None) for made in (first, second)]

    assert owners[0].id == owners[1].id


async def test_a_name_can_be_used_only_once(database: Database, names: Names) -> None:
    async with database.transaction() as tx:
        await organizations.create_organization(
            tx, name=names.organization, plan="pro", owner_email=names.email, actor=COMMAND_LINE
        )

    with pytest.raises(OrganizationExistsError):
        async with database.transaction() as tx:
            await organizations.create_organization(
                tx, name=names.organization, plan="pro", owner_email=names.email, actor=COMMAND_LINE
            )


@pytest.mark.parametrize("name", ["", "  \t"])
async def test_an_organization_needs_a_name(database: Database, names: Names, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="needs a name"):
        async with database.transaction() as tx:
            await organizations.create_organization(
                tx, name=name, plan="pro", owner_email=names.email, actor=COMMAND_LINE
            )


async def test_an_organization_needs_a_plan_that_exists(database: Database, names: Names) -> None:
    with pytest.raises(PlanNotFoundError, match="platinum"):
        async with database.transaction() as tx:
            await organizations.create_organization(
                tx,
                name=names.organization,
                plan="platinum",
                owner_email=names.email,
                actor=COMMAND_LINE,
            )


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "ada lovelace@example.com"])
async def test_an_owner_needs_an_email_address(database: Database, names: Names, email: str) -> None:
    with pytest.raises(InvalidRequestError, match="Not an email address"):
        async with database.transaction() as tx:
            await organizations.create_organization(
                tx, name=names.organization, plan="pro", owner_email=email, actor=COMMAND_LINE
            )

    async with database.transaction() as tx:
        with pytest.raises(OrganizationNotFoundError):
            await organizations.get_organization(tx, names.organization)


async def test_a_user_who_is_not_a_member_is_not_found(database: Database, names: Names) -> None:
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx, name=names.organization, plan="pro", owner_email=names.email, actor=COMMAND_LINE
        )
        await organizations.ensure_user(tx, f"eve.{names.email}", actor=COMMAND_LINE)

        with pytest.raises(MemberNotFoundError, match="has no member"):
            await organizations.get_member(tx, made, f"eve.{names.email}")


async def test_only_the_hash_of_a_password_is_stored(database: Database, names: Names) -> None:
    async with database.transaction() as tx:
        user = await organizations.ensure_user(tx, names.email, actor=COMMAND_LINE)
        organizations.set_password(tx, user, "correct horse battery staple", actor=COMMAND_LINE)

    async with database.transaction() as tx:
        stored = (await organizations.ensure_user(tx, names.email, actor=COMMAND_LINE)).password_hash
    assert stored is not None
    assert stored.startswith("$argon2id$")
    assert "horse" not in stored
    assert PasswordHasher().verify(stored, "correct horse battery staple")


@pytest.mark.parametrize(
    ("per_minute", "requests", "generations", "monthly"),
    [(0, 1, 1, "0"), (1, 0, 1, "0"), (1, 1, -1, "0"), (1, 1, 1, "-0.000001")],
)
async def test_a_plan_with_an_impossible_limit_is_refused(
    database: Database, per_minute: int, requests: int, generations: int, monthly: str
) -> None:
    with pytest.raises(InvalidRequestError):
        async with database.transaction() as tx:
            await organizations.set_plan(
                tx,
                name="no room",
                requests_per_minute=per_minute,
                concurrent_requests=requests,
                concurrent_generations=generations,
                monthly_credits=Decimal(monthly),
                actor=COMMAND_LINE,
            )

    async with database.transaction() as tx:
        assert "no room" not in [plan.name for plan in await organizations.list_plans(tx)]


async def test_an_id_takes_precedence_over_a_name(database: Database, names: Names) -> None:
    """Otherwise somebody who may create organizations could give one the id of another as its name."""
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx, name=names.organization, plan="pro", owner_email=names.email, actor=COMMAND_LINE
        )
        tx.session.add(Organization(name=made.id, plan_name="pro"))
        await tx.session.flush()

        assert (await organizations.get_organization(tx, made.id)).id == made.id


async def test_values_of_a_plan_that_are_not_given_are_kept(database: Database, names: Names) -> None:
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name=names.organization,
            requests_per_minute=1,
            concurrent_requests=2,
            concurrent_generations=3,
            actor=COMMAND_LINE,
        )
        plan = await organizations.set_plan(
            tx, name=names.organization, concurrent_requests=9, monthly_credits=Decimal(4), actor=COMMAND_LINE
        )

    assert (plan.requests_per_minute, plan.concurrent_requests, plan.concurrent_generations) == (1, 9, 3)
    assert plan.monthly_credits == 4


async def test_the_error_names_the_limits_that_a_new_plan_lacks(database: Database, names: Names) -> None:
    with pytest.raises(PlanIncompleteError) as refused:
        async with database.transaction() as tx:
            await organizations.set_plan(tx, name=names.organization, concurrent_requests=2, actor=COMMAND_LINE)

    assert refused.value.missing == ["requests_per_minute", "concurrent_generations"]
