"""What the API tells of usage: the ledger's own sums, told apart as a client asks, and shown to whom they concern."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations
from app.organizations.models import MembershipRole
from tests import factories
from tests.credits.spending import Call, Origin, add_charge
from tests.factories import Organization

USAGE = "/v1/usage"
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}


def noon(day: int) -> datetime:
    return datetime(2026, 3, day, 12, tzinfo=UTC)


async def spend(database: Database, origin: Origin, day: int, *calls: Call) -> None:
    async with database.transaction() as tx:
        await add_charge(tx, origin, noon(day), calls)


async def read(client: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await client.get(USAGE, params={**MARCH, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def costs(found: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [(*(line[name] for name in names), line["credits"]) for line in found["data"]]


@pytest.fixture
async def spent(database: Database, organization: Organization) -> Origin:
    """Three charges on two days, by two agents with two models."""
    origin = Origin(organization_id=organization.id, user_id=organization.user_id)
    await spend(database, origin, 3, Call("0.5", "poet", "m1"), Call("0.000001", "critic", "m2"))
    await spend(database, origin, 3, Call("0.25", "poet", "m2"))
    await spend(database, origin, 5, Call("1", "poet", "m1"))
    return origin


@pytest.mark.usefixtures("spent")
async def test_each_way_to_tell_it_apart_has_the_same_sum(client: httpx.AsyncClient) -> None:
    assert costs(await read(client), "day") == [("2026-03-03", 0.750001), ("2026-03-05", 1)]
    assert costs(await read(client, group_by="model"), "model") == [("m1", 1.5), ("m2", 0.250001)]
    assert costs(await read(client, group_by="agent"), "agent") == [("poet", 1.75), ("critic", 0.000001)]
    assert costs(await read(client, group_by="day,model"), "day", "model") == [
        ("2026-03-03", "m1", 0.5),
        ("2026-03-03", "m2", 0.250001),
        ("2026-03-05", "m1", 1),
    ]
    only_sum = await read(client, group_by="")
    assert only_sum["data"] == []
    assert only_sum["total"] == {
        "credits": 1.750001,
        "calls": 4,
        "prompt_tokens": 40,
        "completion_tokens": 20,
        "generation_seconds": 0,
        "files": 0,
    }
    assert (only_sum["from"], only_sum["to"], only_sum["is_complete"]) == ("2026-03-01", "2026-03-31", True)


@pytest.mark.usefixtures("spent")
async def test_only_the_days_of_the_period_count(client: httpx.AsyncClient) -> None:
    assert (await read(client, **{"from": "2026-03-04"}))["total"]["credits"] == 1
    assert (await read(client, **{"from": "2026-03-03", "to": "2026-03-03"}))["total"]["credits"] == 0.750001


async def test_a_chat_of_a_moment_ago_is_in_it_to_the_sixth_decimal(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    body = {"model": "agent/writer", "messages": [{"role": "user", "content": "Hello"}]}
    before = (await factories.balance_of(database, organization)).balance
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    charged = before - (await factories.balance_of(database, organization)).balance

    found = (await client.get(USAGE, params={"group_by": "key"})).json()

    (line,) = found["data"]
    assert charged > 0
    assert Decimal(str(line["credits"])) == Decimal(str(found["total"]["credits"])) == charged
    assert (line["key_name"], line["others"], line["calls"]) == ("test", 0, 1)
    assert line["key"].startswith("key-")


@pytest.mark.usefixtures("spent")
async def test_members_see_what_they_have_used_themselves_and_others_the_whole(
    client: httpx.AsyncClient, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        user = await organizations.ensure_user(tx, f"member-of-{organization.id}@example.com", actor=COMMAND_LINE)
        await organizations.add_member(tx, organization.id, user.id, MembershipRole.MEMBER, actor=COMMAND_LINE)
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="theirs", scopes=["usage:read"]),
            organization_id=organization.id,
            user_id=user.id,
            actor=COMMAND_LINE,
        )
    await spend(database, Origin(organization_id=organization.id, user_id=user.id), 7, Call("0.125", "poet", "m1"))

    own = await client.get(USAGE, params=MARCH, headers={"X-API-Key": new.secret})

    assert own.json()["total"]["credits"] == 0.125
    assert (await read(client))["total"]["credits"] == 1.875001


async def test_nobody_sees_another_organizations(client: httpx.AsyncClient, database: Database, spent: Origin) -> None:
    stranger = await factories.make_organization(database)

    answer = await client.get(USAGE, params={**MARCH, "group_by": "key"}, headers=stranger.headers)

    assert spent.organization_id != stranger.id
    assert (answer.json()["total"]["credits"], answer.json()["data"]) == (0, [])


@pytest.mark.parametrize(
    ("query", "param", "words"),
    [
        ({"group_by": "user"}, "group_by", "day, model, key, agent"),
        ({"group_by": "day,day"}, "group_by", "at most one of the others"),
        ({"group_by": "model,key"}, "group_by", "at most one of the others"),
        ({"group_by": ","}, "group_by", "Known"),
        ({"from": "2026-04-02", "to": "2026-04-01"}, "to", "2026-04-01 is before 2026-04-02"),
        ({"from": "2025-01-01", "to": "2026-01-02"}, "from", "more than 366 days"),
        ({"from": "2026-01-01", "to": "2026-04-03", "group_by": "day,agent"}, "from", "more than 92 days"),
        ({"from": "yesterday"}, "from", "must be a day such as"),
        ({"from": "20261101"}, "from", "must be a day such as"),
        ({"to": "0"}, "to", "must be a day such as"),
        ({"to": "2026-02-30"}, "to", ""),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(
    client: httpx.AsyncClient, query: dict[str, str], param: str, words: str
) -> None:
    answer = await client.get(USAGE, params=query)

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert words in error["message"]


async def test_the_longest_periods_are_allowed(client: httpx.AsyncClient) -> None:
    year = {"from": "2025-01-01", "to": "2026-01-01"}
    quarter = {"from": "2026-01-01", "to": "2026-04-02", "group_by": "day,model"}

    assert [(await client.get(USAGE, params=query)).status_code for query in (year, quarter)] == [200, 200]
