"""Streams that the model provider breaks off: the error is reported; what was delivered is stored and charged."""

import asyncio

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, stream, text_of
from tests.chat.books import books_of, charged, cost_of, estimate_of
from tests.chat.openai.grammar import Streamed
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.reading import messages_of

WEATHER, TIME = (
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get_time")
)
WORDS = "count to 5"
ANSWER = "1 2 3 4 5"
USAGE = {"include_usage": True}


def delivered(count: int) -> str:
    """The text of the answer's first `count` chunks."""
    return ANSWER[: 2 * count]


async def broken_stream(http: httpx.AsyncClient, database: Database, fault: str) -> tuple[Streamed, Organization]:
    host = await make_host(database, f"sim-chat--{fault}")
    return await stream(http, host, WORDS), host


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("fault", ["cut", "error-frame", "garbage"])
async def test_text_before_a_break_is_delivered_stored_and_charged(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str, count: int
) -> None:
    streamed, host = await broken_stream(http, database, f"{fault}-{count}")

    assert streamed.text == delivered(count)
    assert streamed.error is not None
    assert (streamed.error["type"], streamed.error["code"]) == ("provider_error", "provider_error")
    books = await books_of(database, host)
    assert books == charged(estimate_of(upstream.the_request(), streamed.text), is_estimated=True)
    assert await messages_of(http, host, streamed.session_id) == [("user", WORDS), ("assistant", streamed.text)]


@pytest.mark.parametrize("count", range(1, 7))
async def test_a_call_that_is_cut_is_never_treated_as_complete(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, count: int
) -> None:
    host = await make_host(database, f"sim-chat--cut-{count}")

    streamed = await stream(http, host, "get weather and get time", tools=[WEATHER, TIME])

    assert streamed.error is not None
    assert streamed.finish_reason is None
    pieces = [piece["function"] for delta in streamed.deltas for piece in delta["tool_calls"]]
    assert len(pieces) == count
    delivered_text = "".join(piece.get("name", "") + piece["arguments"] for piece in pieces)
    books = await books_of(database, host)
    assert books == charged(estimate_of(upstream.the_request(), delivered_text), is_estimated=True)
    # Nothing is stored: an incomplete call in the session would make every later turn fail.
    assert await messages_of(http, host, streamed.session_id) == []


@pytest.mark.parametrize("fault", ["cut-2", "error-frame-2", "garbage-2"])
async def test_the_session_goes_on_after_a_break(http: httpx.AsyncClient, database: Database, fault: str) -> None:
    streamed, host = await broken_stream(http, database, fault)
    await repair_host(database, host)

    answer = await answer_of(http, host, "count to 2", session_id=streamed.session_id)

    assert answer["session_id"] == streamed.session_id
    assert text_of(answer) == "1 2"


async def repair_host(database: Database, host: Organization) -> None:
    """Give the organization's orchestrator a model that works."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = 'sim-chat' WHERE organization_id = $1", host.id)


async def test_an_answer_that_is_cut_before_its_finish_is_an_error(http: httpx.AsyncClient, database: Database) -> None:
    streamed, _ = await broken_stream(http, database, "no-finish")

    assert streamed.text == ANSWER
    assert streamed.error is not None
    assert streamed.error["code"] == "provider_error"


async def test_a_missing_done_makes_no_difference_to_the_client(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    streamed, host = await broken_stream(http, database, "no-done")

    assert (streamed.text, streamed.finish_reason) == (ANSWER, "stop")
    usage = upstream.calls()[0]["usage"]
    assert await books_of(database, host) == charged(cost_of([usage]))


@pytest.mark.parametrize("fault", ["no-usage", "negative-usage", "nan-usage", "huge-usage"])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_impossible_usage_is_replaced_by_an_estimate(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")
    if is_streamed:
        streamed = await stream(http, host, WORDS, stream_options=USAGE)
        assert streamed.usage is not None
        text, usage = streamed.text, streamed.usage["usage"]
    else:
        answer = await answer_of(http, host, WORDS)
        text, usage = text_of(answer), answer["usage"]

    assert text == ANSWER
    estimate = estimate_of(upstream.the_request(), ANSWER)
    assert cost_of([usage]) == estimate
    assert await books_of(database, host) == charged(estimate, is_estimated=True)


async def test_a_cost_above_the_hold_is_taken_from_what_is_available(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    # The answer is much longer than the client's limit of two tokens, which the model ignores.
    host = await make_host(database, "sim-chat--ignores-max-tokens")
    await answer_of(http, host, "count to 300", max_tokens=2)

    books = await books_of(database, host)
    async with database.transaction() as tx:
        held = await tx.fetchval("SELECT amount FROM credit_holds WHERE organization_id = $1", host.id)
    assert books.charges == [cost_of([upstream.calls()[0]["usage"]])]
    assert books.charges[0] > held


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_filtered_answer_says_so(http: httpx.AsyncClient, database: Database, is_streamed: bool) -> None:
    host = await make_host(database, "sim-chat--content-filter")
    if is_streamed:
        streamed = await stream(http, host, WORDS)
        assert (streamed.text, streamed.finish_reason) == (ANSWER[:4], "content_filter")
    else:
        answer = await answer_of(http, host, WORDS)
        assert (text_of(answer), answer["choices"][0]["finish_reason"]) == (ANSWER[:4], "content_filter")


async def test_many_broken_streams_at_once_are_kept_apart(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--cut-3")

    streams = await asyncio.gather(*(stream(http, host, WORDS) for _ in range(20)))

    assert [streamed.text for streamed in streams] == [delivered(3)] * 20
    assert len({streamed.session_id for streamed in streams}) == 20
    books = await books_of(database, host)
    assert books == charged(*[estimate_of(upstream.requests()[0], delivered(3))] * 20, is_estimated=True)
