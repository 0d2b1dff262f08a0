"""The servers that the product is compared with do the duties of a turn: else the comparison would mean nothing."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from bench.turn_cost.loads import HISTORY, conversation
from bench.turn_cost.twin import TOOLED
from bench.turn_cost.twin_store import COST
from bench.turn_cost.upstream import USAGE
from tests.bench.conftest import HandWritten
from tests.waiting import until

QUESTION = {"role": "user", "content": "How many ships?"}

twin = pytest.mark.parametrize("hand_written", ["twin"], indirect=True)
both = pytest.mark.parametrize("hand_written", ["twin", "floor"], indirect=True)


def text_of(response: httpx.Response, *, is_streamed: bool) -> str:
    """The text of the whole answer."""
    if not is_streamed:
        return str(response.json()["choices"][0]["message"]["content"])
    *events, last, rest = response.text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    values = [json.loads(event.removeprefix("data: ")) for event in events]
    return "".join(choice["delta"].get("content") or "" for value in values for choice in value["choices"])


async def stored(server: HandWritten) -> list[dict[str, Any]]:
    """The messages in their order."""
    return [
        json.loads(row["content"]) for row in await server.database.fetch("SELECT content FROM messages ORDER BY id")
    ]


@both
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_turn_is_stored_metered_and_charged(hand_written: HandWritten, is_streamed: bool) -> None:
    response = await hand_written.ask(messages=[QUESTION], stream=is_streamed)

    text = text_of(response, is_streamed=is_streamed)
    assert text.startswith(" the keeper of the lighthouse")
    (question, answer) = await stored(hand_written)
    assert (question, answer["content"]) == (QUESTION, text)
    row = await hand_written.database.fetchrow(
        "SELECT balance, held, state, ledger.amount, balance_after, turn, prompt_tokens, completion_tokens"
        " FROM accounts, holds, ledger, sessions, events"
    )
    assert row is not None
    balance = Decimal(1_000_000_000) - COST
    assert tuple(row) == (balance, 0, "settled", -COST, balance, None, *list(USAGE.values())[:2])


@both
async def test_many_turns_at_once_are_each_charged_once_and_give_their_slots_back(hand_written: HandWritten) -> None:
    responses = await asyncio.gather(*(hand_written.ask(messages=[QUESTION]) for _ in range(20)))

    assert {response.status_code for response in responses} == {200}
    assert await hand_written.database.fetchval("SELECT 1000000000 - balance FROM accounts") == 20 * COST
    balances = await hand_written.database.fetch("SELECT balance_after FROM ledger")
    assert len({row["balance_after"] for row in balances}) == 20

    async def is_free() -> bool:
        return int(await hand_written.redis.zcard(f"{hand_written.name}:slots:1")) == 0

    await until(is_free)


@both
async def test_a_wrong_key_is_refused(hand_written: HandWritten) -> None:
    response = await hand_written.ask(messages=[QUESTION], headers={"authorization": "Bearer jns_live_wrong"})

    assert response.status_code == 401
    assert await stored(hand_written) == []


@twin
async def test_a_session_is_continued_with_its_history(hand_written: HandWritten) -> None:
    first = await hand_written.ask(messages=conversation())
    before = await hand_written.stat()

    await hand_written.ask(messages=[QUESTION], session_id=first.headers["x-session-id"])

    assert (await hand_written.stat())["messages"] - before["messages"] == HISTORY + 1
    assert len(await stored(hand_written)) == HISTORY + 2


@twin
async def test_a_tool_is_run_between_two_calls_of_the_model(hand_written: HandWritten) -> None:
    before = await hand_written.stat()

    response = await hand_written.ask(messages=[QUESTION], model=TOOLED)

    assert response.json()["usage"] == {name: 2 * tokens for name, tokens in USAGE.items()}
    assert (await hand_written.stat())["calls"] - before["calls"] == 2
    assert [message["role"] for message in await stored(hand_written)] == ["user", "assistant", "tool", "assistant"]
    assert await hand_written.database.fetchval("SELECT count(*) FROM events") == 2


@twin
async def test_an_idempotency_key_is_taken_once(hand_written: HandWritten) -> None:
    headers = {"idempotency-key": "one"}

    first, second = [await hand_written.ask(messages=[QUESTION], headers=headers) for _ in range(2)]

    assert (first.status_code, second.status_code) == (200, 500)
    assert await hand_written.database.fetchval("SELECT response->>'content' FROM claims") == text_of(
        first, is_streamed=False
    )
    assert await hand_written.database.fetchval("SELECT count(*) FROM ledger") == 1
