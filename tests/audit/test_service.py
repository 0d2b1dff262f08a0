import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.agents.service import import_agents
from app.agents.toml import read_agents, read_starter_agents
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.audit.actor import COMMAND_LINE, Actor, ActorKind
from app.catalog.service import import_catalog
from app.catalog.toml import read_catalog
from app.core.database import Database, Transaction
from app.credits import service as credits
from app.organizations import service as organizations
from app.organizations.errors import PlanNotFoundError
from app.organizations.models import MembershipRole, SubscriptionStatus
from tests.factories import Organization

OPERATOR = Actor(ActorKind.USER, "user-of-the-test")
CATALOG = '[[models]]\nname = "audit/model"\nkind = "generation"\nprice = { ceiling = 1 }\n'


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="app.audit.service")
    return caplog


def lines(logged: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The changes in the log: the event, who made it, and what it changed."""
    names = ("actor_kind", "actor_id", "organization_id", "object_id")
    records = [record for record in logged.records if record.name == "app.audit.service"]
    return [{"event": record.getMessage(), **{name: vars(record)[name] for name in names}} for record in records]


async def test_a_change_is_logged_with_its_actor_organization_and_object(
    database: Database, organization: Organization, logged: pytest.LogCaptureFixture
) -> None:
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="audited"),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=OPERATOR,
        )
        key = new.row
        secret = new.secret
        await api_keys.revoke_key(tx, organization.id, key.id, actor=COMMAND_LINE)

    of_the_key = {"organization_id": organization.id, "object_id": key.id}
    assert lines(logged) == [
        {"event": "key_created", "actor_kind": "user", "actor_id": "user-of-the-test", **of_the_key},
        {"event": "key_revoked", "actor_kind": "command_line", "actor_id": None, **of_the_key},
    ]
    assert secret not in str([vars(record) for record in logged.records])


async def test_a_change_that_is_rolled_back_is_not_logged(
    database: Database, organization: Organization, logged: pytest.LogCaptureFixture
) -> None:
    async def change_and_fail() -> None:
        async with database.transaction() as tx:
            await organizations.set_subscription(tx, organization.id, SubscriptionStatus.INACTIVE, actor=OPERATOR)
            await organizations.change_plan(tx, organization.id, "platinum", actor=OPERATOR)

    with pytest.raises(PlanNotFoundError):
        await change_and_fail()

    assert lines(logged) == []


async def _create_and_rotate(tx: Transaction, organization: Organization) -> None:
    new = await api_keys.create_key(
        tx, KeyRequest(name="audited"), organization_id=organization.id, user_id=organization.user_id, actor=OPERATOR
    )
    key = new.row
    await api_keys.rotate_key(tx, organization.id, key.id, overlap=timedelta(0), actor=OPERATOR)


async def _create_organization(tx: Transaction, organization: Organization) -> None:
    name = f"audited {organization.id}"
    email = f"{organization.id}@audit.example.com"
    made = await organizations.create_organization(tx, name=name, plan="roomy", owner_email=email, actor=OPERATOR)
    await credits.open_account(tx, made.id)


async def _set_password(tx: Transaction, organization: Organization) -> None:
    made = await organizations.get_organization(tx, organization.id)
    owner = await organizations.get_member(tx, made, None)
    organizations.set_password(tx, owner, "correct horse", actor=OPERATOR)


async def _add_member(tx: Transaction, organization: Organization) -> None:
    user = await organizations.ensure_user(tx, f"{organization.id}@member.example.com", actor=OPERATOR)
    await organizations.add_member(tx, organization.id, user.id, MembershipRole.MEMBER, actor=OPERATOR)


async def _end_subscription(tx: Transaction, organization: Organization) -> None:
    await organizations.set_subscription(tx, organization.id, SubscriptionStatus.INACTIVE, actor=OPERATOR)


async def _change_plan(tx: Transaction, organization: Organization) -> None:
    await organizations.change_plan(tx, organization.id, "pro", actor=OPERATOR)


async def _set_plan(tx: Transaction, organization: Organization) -> None:
    await organizations.set_plan(
        tx,
        name=f"plan of {organization.id}",
        requests_per_minute=1,
        concurrent_requests=1,
        concurrent_generations=1,
        actor=OPERATOR,
    )


async def _import_catalog(tx: Transaction, organization: Organization) -> None:
    await import_catalog(tx, read_catalog(CATALOG), actor=OPERATOR)


async def _import_agents(tx: Transaction, organization: Organization) -> None:
    # The second one is what it was: nothing is logged of it.
    text = '[[agents]]\nname = "orchestrator"\nis_orchestrator = true\n[[agents]]\nname = "poet"\n'
    for _ in range(2):
        await import_agents(tx, organization.id, read_agents(text), actor=OPERATOR)


async def _grant(tx: Transaction, organization: Organization) -> None:
    for _ in range(2):
        await credits.grant(
            tx, organization_id=organization.id, amount=Decimal(1), reference=f"a:{organization.id}", actor=OPERATOR
        )


async def _repeat(tx: Transaction, organization: Organization) -> None:
    """Changes that set what is set already."""
    made = await organizations.get_organization(tx, organization.id)
    await organizations.add_member(tx, made.id, organization.user_id, MembershipRole.ADMIN, actor=OPERATOR)
    await organizations.set_subscription(tx, made.id, SubscriptionStatus.ACTIVE, actor=OPERATOR)
    await organizations.change_plan(tx, made.id, made.plan_name, actor=OPERATOR)
    await organizations.set_plan(tx, name=made.plan_name, actor=OPERATOR)
    (plan,) = [plan for plan in await organizations.list_plans(tx) if plan.name == made.plan_name]
    await organizations.set_plan(tx, name=plan.name, monthly_credits=plan.monthly_credits, actor=OPERATOR)
    await import_agents(tx, made.id, read_starter_agents(), actor=OPERATOR)


async def test_a_catalog_that_is_imported_again_changes_nothing(
    database: Database, organization: Organization, logged: pytest.LogCaptureFixture
) -> None:
    async with database.transaction() as tx:
        await import_catalog(tx, read_catalog(CATALOG.replace("audit/", "again/")), actor=OPERATOR)
    logged.clear()

    async with database.transaction() as tx:
        await import_catalog(tx, read_catalog(CATALOG.replace("audit/", "again/")), actor=OPERATOR)

    assert lines(logged) == []


async def test_what_changes_nothing_is_not_logged(
    database: Database, organization: Organization, logged: pytest.LogCaptureFixture
) -> None:
    async with database.transaction() as tx:
        await _repeat(tx, organization)

    assert lines(logged) == []


@pytest.mark.parametrize(
    ("change", "events"),
    [
        (_create_and_rotate, ["key_created", "key_created", "key_rotated"]),
        (_create_organization, ["user_created", "organization_created", "member_added"]),
        (_set_password, ["password_set"]),
        (_add_member, ["user_created", "member_added"]),
        (_end_subscription, ["subscription_inactive"]),
        (_change_plan, ["plan_changed"]),
        (_set_plan, ["plan_set"]),
        (_import_catalog, ["model_imported"]),
        (_import_agents, ["agent_imported", "agent_imported"]),
        (_grant, ["credits_granted"]),
    ],
)
async def test_every_administrative_change_is_logged(
    database: Database, organization: Organization, logged: pytest.LogCaptureFixture, change: Any, events: list[str]
) -> None:
    async with database.transaction() as tx:
        await change(tx, organization)

    assert [line["event"] for line in lines(logged)] == events
    assert {line["actor_id"] for line in lines(logged)} == {"user-of-the-test"}
