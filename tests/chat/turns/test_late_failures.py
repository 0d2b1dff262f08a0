"""Turns that fail after a model call has finished: it is charged, and what it said is stored."""

import asyncio

import pytest

from app.core.database import Database
from tests.agents.definitions import agent, make_team
from tests.chat.asking import ask, ask_to_stream, conversation
from tests.chat.books import books_of, charged, cost_of
from tests.chat.conftest import HeldApi
from tests.chat.turns.rows import rows_of
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.sessions.reading import messages_of

WORDS = "Ask the poet"


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("fault", ["status-404", "status-500", "drop-before-response"])
async def test_calls_before_one_that_is_refused_are_charged_and_their_messages_are_stored(
    held: HeldApi, stack: Stack, database: Database, upstream: UpstreamLog, fault: str, is_streamed: bool
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"]), agent("poet"))
    held.chat_models.hold_next()
    asking = asyncio.create_task(
        (ask_to_stream if is_streamed else ask)(held.http, team, WORDS, **conversation("ours"))
    )
    await held.chat_models.wait_until_held()
    held.chat_models.let_pass()
    held.chat_models.hold_next()
    await held.chat_models.wait_until_held()

    # The poet's call is on its way; the host's second one will fail.
    stack.simulator.order_fault("host-model", fault)
    held.chat_models.let_pass()
    response = await asking

    assert '"error"' in response.text
    host, poet, refused = upstream.calls()
    assert (host["outcome"], poet["outcome"]) == ("finished", "finished")
    assert refused["outcome"] != "finished"
    assert await books_of(database, team) == charged(cost_of([host["usage"], poet["usage"]]))
    rows = await rows_of(database, team)
    assert [event["cost"] > 0 for event in rows.events] == [True, True, False]
    assert rows.lost_calls == 0
    roles = [role for role, _ in await messages_of(held.http, team, "ours")]
    assert roles == ["user", "assistant", "tool"]
