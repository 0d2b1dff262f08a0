import json
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest

from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.credits.accounts import Account
from tests.waiting import PATIENCE


@pytest.fixture
async def account_client(stack: Stack, account: Account) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=account.organization.headers, timeout=PATIENCE
    ) as opened:
        yield opened


async def test_credits_are_json_numbers(account_client: httpx.AsyncClient, account: Account) -> None:
    await account.hold("a", "2.000001")

    response = await account_client.get("/credits")

    assert response.status_code == 200
    assert response.json() == {"balance": 7, "held": 2.000001, "available": 4.999999}
    assert list(response.json()) == ["balance", "held", "available"]


@pytest.mark.parametrize("amount", ["0.000001", "0.1", "0.300001", "12345.678901", "999999999.999999"])
async def test_amounts_are_exact_to_six_decimals(stack: Stack, database: Database, amount: str) -> None:
    rich = await factories.make_organization(database, credit=amount)

    async with httpx.AsyncClient(base_url=stack.base_url, headers=rich.headers, timeout=PATIENCE) as client:
        response = await client.get("/credits")

    shown = json.loads(response.text, parse_float=Decimal, parse_int=Decimal)
    assert shown == {"balance": Decimal(amount), "held": 0, "available": Decimal(amount)}


@pytest.mark.parametrize("scope", ALL_SCOPES)
async def test_any_key_may_see_them(stack: Stack, database: Database, account: Account, scope: str) -> None:
    key = await factories.make_key(database, account.organization, scope)

    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as client:
        response = await client.get("/credits", headers={"Authorization": f"Bearer {key}"})

    assert response.json()["balance"] == 7


async def test_credits_are_those_of_the_keys_organization(
    client: httpx.AsyncClient, account_client: httpx.AsyncClient, account: Account
) -> None:
    assert (await client.get("/credits")).json()["balance"] == 100
    assert (await account_client.get("/credits")).json()["balance"] == 7


async def test_a_streamed_turn_costs_the_same_as_one_that_is_not_streamed(
    account_client: httpx.AsyncClient, account: Account
) -> None:
    asked = {"messages": [{"role": "user", "content": "Tell me of the sea"}]}

    for is_streamed in (False, True):
        response = await account_client.post("/v1/chat/completions", json=asked | {"stream": is_streamed})
        response.raise_for_status()

    first, second = await account.entries("charge")
    assert first == second < 0
