"""The log of changes in the database: what a row says, and that it stays as it is."""

from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.audit.actor import COMMAND_LINE, SERVER, Actor, ActorKind
from app.audit.service import log_change
from app.catalog.service import import_catalog
from app.catalog.toml import read_catalog
from app.core.database import Database
from app.core.request_context import request_id_var, source_var
from app.credits.adjustments import adjust
from app.credits.grants import grant_manually
from app.organizations import service as organizations
from app.organizations.errors import PlanNotFoundError
from app.organizations.models import SubscriptionStatus
from tests.audit.rows import rows_of
from tests.factories import Organization

OPERATOR = Actor(ActorKind.USER, "user-of-the-test")
MODEL = '[[models]]\nname = "{name}"\nkind = "generation"\nprice = {{ per_call = {price}, ceiling = 1 }}\n'


async def test_a_row_says_who_changed_what_from_where(database: Database, organization: Organization) -> None:
    request_id_var.set("req-of-the-test")
    source_var.set("2001:db8::7")
    async with database.transaction() as tx:
        await organizations.set_subscription(tx, organization.id, SubscriptionStatus.INACTIVE, actor=OPERATOR)

    row = (await rows_of(database, organization.id))[-1]

    assert row.event == "subscription_inactive"
    assert row.actor == ("user", "user-of-the-test")
    assert row.object_id == organization.id
    assert row.before == {"name": organization.name, "subscription": "active"}
    assert row.after == {"name": organization.name, "subscription": "inactive"}
    assert (row.source, row.request_id) == ("2001:db8::7", "req-of-the-test")


async def test_what_the_server_does_by_itself_has_no_source(database: Database, organization: Organization) -> None:
    source_var.set("192.0.2.1")
    async with database.transaction() as tx:
        log_change(tx, SERVER, "credits_granted", organization_id=organization.id)

    row = (await rows_of(database, organization.id))[-1]

    assert (row.actor, row.source) == (("server", None), None)


async def test_a_change_that_is_rolled_back_leaves_no_row(database: Database, organization: Organization) -> None:
    before = await rows_of(database, organization.id)

    async def change_and_fail() -> None:
        async with database.transaction() as tx:
            await organizations.set_subscription(tx, organization.id, SubscriptionStatus.INACTIVE, actor=OPERATOR)
            await organizations.change_plan(tx, organization.id, "platinum", actor=OPERATOR)

    with pytest.raises(PlanNotFoundError):
        await change_and_fail()

    assert await rows_of(database, organization.id) == before


async def test_a_key_leaves_what_it_may_do_and_neither_itself_nor_its_hash(
    database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        request = KeyRequest(name="audited", scopes=["content:read"], requests_per_minute=7)
        new = await api_keys.create_key(
            tx, request, organization_id=organization.id, user_id=organization.user_id, actor=COMMAND_LINE
        )
        rotated = await api_keys.rotate_key(
            tx, organization.id, new.row.id, overlap=timedelta(hours=1), actor=COMMAND_LINE
        )
        await api_keys.revoke_key(tx, organization.id, rotated.row.id, actor=COMMAND_LINE)

    made, _, rotation, revoked = (await rows_of(database, organization.id))[-4:]

    assert made.after is not None
    assert made.after["scopes"] == ["content:read"]
    assert made.after["requests_per_minute"] == 7
    assert made.before is None
    assert rotation.after is not None
    assert rotation.after["replaced_by"] == rotated.row.id
    assert rotation.after["works_until"] == rotated.old_works_until.isoformat()
    assert revoked.after == {"name": "audited", "state": "revoked"}
    written = str(await rows_of(database, organization.id))
    for secret in (new.secret, rotated.secret, new.row.key_hash.hex(), rotated.row.key_hash.hex()):
        assert secret not in written


async def test_credits_leave_their_amount_and_reason(database: Database, organization: Organization) -> None:
    async with database.transaction() as tx:
        await grant_manually(
            tx, organization.id, amount=Decimal("12.5"), reference=f"inv:{organization.id}", actor=OPERATOR
        )
        await adjust(
            tx, organization.id, amount=Decimal("-0.5"), reason="twice", reference=organization.id, actor=OPERATOR
        )

    granted, adjusted = (await rows_of(database, organization.id))[-2:]

    assert granted.after == {"amount": "12.5", "description": ""}
    assert adjusted.after == {"amount": "-0.5", "reason": "twice"}


async def test_a_plan_and_a_price_leave_what_they_were(database: Database, organization: Organization) -> None:
    name = f"audited/{organization.id}"
    async with database.transaction() as tx:
        for limit in (5, 6):
            await organizations.set_plan(
                tx,
                name=name,
                requests_per_minute=limit,
                concurrent_requests=1,
                concurrent_generations=1,
                actor=OPERATOR,
            )
    for price in ("0.1", "0.25"):
        async with database.transaction() as tx:
            await import_catalog(tx, read_catalog(MODEL.format(name=name, price=price)), actor=OPERATOR)

    new_plan, changed_plan, new_model, new_price = await rows_of(database, name)

    assert new_plan.before is None
    assert changed_plan.before is not None
    assert changed_plan.after is not None
    assert (changed_plan.before["requests_per_minute"], changed_plan.after["requests_per_minute"]) == (5, 6)
    assert new_model.before is None
    assert new_price.before is not None
    assert new_price.after is not None
    assert (new_price.before["per_call"], new_price.after["per_call"]) == ("0.100000", "0.250000")
    assert new_price.before["effective_at"] != new_price.after["effective_at"]


async def test_agents_leave_a_row_each_if_they_change(database: Database, organization: Organization) -> None:
    agents = '[[agents]]\nname = "poet"\ninstruction = "{verse}"\n\n[[agents]]\nname = "clerk"\n'
    async with database.transaction() as tx:
        await import_agents(tx, organization.id, read_agents(agents.format(verse="x" * 5000)), actor=OPERATOR)
    async with database.transaction() as tx:
        await import_agents(tx, organization.id, read_agents(agents.format(verse="Rhyme.")), actor=OPERATOR)

    *_, clerk, poet, changed = await rows_of(database, organization.id)

    assert {row.after["name"] for row in (clerk, poet) if row.after} == {"clerk", "poet"}
    assert changed.before is not None
    assert changed.after is not None
    assert len(changed.before["instruction"]) < 1100
    assert changed.before["instruction"].endswith("… (5,000 characters)")
    assert changed.after["instruction"] == "Rhyme."


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor_id = 'somebody else' WHERE organization_id = '{id}'",
        "DELETE FROM audit_events WHERE organization_id = '{id}'",
        "DELETE FROM audit_events WHERE false",
        "TRUNCATE audit_events",
    ],
)
async def test_rows_cannot_be_changed_or_deleted(
    database: Database, organization: Organization, statement: str
) -> None:
    before = await rows_of(database, organization.id)

    async def change() -> None:
        async with database.transaction() as tx:
            await tx.execute(statement.format(id=organization.id))

    with pytest.raises(asyncpg.RaiseError, match="only ever added"):
        await change()

    assert await rows_of(database, organization.id) == before
