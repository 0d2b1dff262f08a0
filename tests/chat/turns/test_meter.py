"""The meter of a turn: its calls are opened one after the other, and each leaves what it has used."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from app.catalog import service as catalog
from app.chat.turns.meter import TurnMeter
from app.chat_models.protocol import Usage
from app.core.attribution import Attribution
from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.core.settings import Settings
from app.credits import service as credits
from app.credits.errors import InsufficientCreditsError
from tests.agents.definitions import LONGEST_ANSWER, agent, make_team
from tests.chat.cut_off_api import PostgresLine, postgres_line
from tests.chat.turns.rows import rows_of
from tests.factories import Organization

MODEL = "metered-model"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": LONGEST_ANSWER}
# 1000 tokens of an answer at 2 credits a million, and a prompt of less than 100 bytes at 1.
AT_LEAST, AT_MOST = Decimal("0.002"), Decimal("0.0021")


@dataclass(frozen=True)
class Metered:
    """A turn's meter, its hold, and its line to Postgres."""

    meter: TurnMeter
    team: Organization
    reference: str
    line: PostgresLine


@pytest.fixture
async def metered(database: Database, environment: dict[str, str]) -> AsyncIterator[Metered]:
    """A turn whose organization can pay for three calls; its hold covers none yet."""
    team = await make_team(database, agent("host", MODEL), credit="0.007")
    reference = f"turn:{team.id}"
    async with postgres_line(environment["DATABASE_URL"]) as line:
        settings = Settings.model_validate(
            {name.lower(): value for name, value in {**environment, "DATABASE_URL": line.url}.items()}
        )
        far = Database.open(settings)
        async with database.transaction() as tx:
            models = {MODEL: await catalog.get_chat_model(tx, MODEL)}
            attribution = Attribution(organization_id=team.id)
            await credits.hold(tx, attribution, reference=reference, amount=Decimal(0), expires_in=timedelta(hours=1))
        meter = TurnMeter(far, organization_id=team.id, reference=reference, models=models, image_tokens=1000)
        yield Metered(meter, team, reference, line)
        await far.close()


async def test_concurrent_calls_have_their_own_numbers_and_their_own_credits(
    metered: Metered, database: Database
) -> None:
    opened = await asyncio.gather(
        *(metered.meter.open_call("host", MODEL, BODY) for _ in range(5)), return_exceptions=True
    )

    calls = [call for call in opened if not isinstance(call, BaseException)]
    refused = [error for error in opened if isinstance(error, BaseException)]
    assert len(calls) == 3
    assert {type(error) for error in refused} == {InsufficientCreditsError}
    assert [use.call_id for use in metered.meter.uses] == [f"{metered.reference}:{number}" for number in (1, 2, 3)]
    (hold,) = (await rows_of(database, metered.team)).holds
    assert 3 * AT_LEAST < hold["amount"] == metered.meter.held < 3 * AT_MOST
    assert hold["calls_opened"] == 3


async def test_what_a_call_did_not_use_pays_for_the_next_one(metered: Metered, database: Database) -> None:
    for _ in range(10):
        call = await metered.meter.open_call("host", MODEL, BODY)
        call.settle(Usage(10, 5), 20, is_final=True)

    (hold,) = (await rows_of(database, metered.team)).holds
    assert hold["amount"] < 2 * AT_MOST
    # The last one is recorded when the turn is settled.
    assert (hold["calls_opened"], hold["events"]) == (10, 9)
    assert metered.meter.usage == Usage(100, 50)


async def test_a_call_that_may_have_been_opened_is_recorded_as_free(metered: Metered, database: Database) -> None:
    first = await metered.meter.open_call("host", MODEL, BODY)
    first.settle(Usage(10, 5), 20, is_final=True)
    metered.line.cut()

    with pytest.raises(ServiceUnavailableError):
        await metered.meter.open_call("host", MODEL, BODY)

    assert [(use.cost > 0, use.prompt_tokens) for use in metered.meter.uses] == [(True, 10), (False, None)]
    async with database.transaction() as tx:
        await credits.settle(
            tx,
            organization_id=metered.team.id,
            reference=metered.reference,
            uses=metered.meter.uses,
            description="test",
        )
    rows = await rows_of(database, metered.team)
    assert rows.lost_calls <= 0
    assert rows.paid == Decimal("0.00002")


@pytest.mark.parametrize(
    ("reported", "delivered", "is_final", "cost", "is_estimated"),
    [
        (Usage(10, 5), 400, True, "0.00002", False),
        (None, 0, True, "0", False),
        (None, 0, False, "0", False),
        (Usage(10, 0), 0, False, "0", False),
        (Usage(10, 1), 400, False, "0.00021", True),
    ],
)
async def test_a_call_costs_what_is_judged_and_nothing_without_output(
    metered: Metered, reported: Usage | None, delivered: int, is_final: bool, cost: str, is_estimated: bool
) -> None:
    call = await metered.meter.open_call("host", MODEL, BODY)

    call.settle(reported, delivered, is_final=is_final)

    (use,) = metered.meter.uses
    assert (use.cost, use.is_estimated) == (Decimal(cost), is_estimated)
    assert metered.meter.was_used == (use.cost > 0)


async def test_a_call_that_was_expected_and_never_made_is_free(metered: Metered) -> None:
    metered.meter.expect_call("host", MODEL, BODY)

    (use,) = metered.meter.uses
    assert (use.cost, use.began_at, use.completion_tokens) == (Decimal(0), None, None)
    assert not metered.meter.was_opened
    assert not metered.meter.was_used
    await metered.meter.open_call("host", MODEL, BODY)
    assert len(metered.meter.uses) == 1
