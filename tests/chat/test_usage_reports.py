"""Usage that a model reports too early, in parts or only in its total: what was delivered is paid for, once."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, opened_stream, stream
from tests.chat.books import books_of, charged, closed_books_of, cost_of, tokens_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

WORDS = "count to 60"
USAGE = {"include_usage": True}


async def test_leaving_after_an_early_report_does_not_make_the_answer_cheap(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--early-usage--stall-50")
    async with opened_stream(http, host, WORDS) as opened:
        await opened.read(until=b'"50 "')

    books = await closed_books_of(database, host)

    prompt_tokens = upstream.calls()[0]["usage"]["prompt_tokens"]
    delivered = " ".join(map(str, range(1, 51))) + " "
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": -(-len(delivered) // 4)}
    assert books == charged(cost_of([usage]), is_estimated=True)


async def test_an_early_report_of_a_whole_answer_is_replaced_by_the_last_one(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--early-usage")

    await stream(http, host, WORDS)

    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))


async def test_an_answer_with_nothing_but_an_early_report_is_paid_for_by_its_length(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    # The simulator counts four characters as a token too.
    host = await make_host(database, "sim-chat--early-usage--no-usage")

    await stream(http, host, WORDS)

    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]), is_estimated=True)


async def test_zeros_after_the_real_report_change_nothing(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--late-zero-usage")

    streamed = await stream(http, host, WORDS, stream_options=USAGE)

    usage = upstream.calls()[0]["usage"]
    assert streamed.usage is not None
    assert streamed.usage["usage"] == usage
    assert (await books_of(database, host)).charges == [cost_of([usage])]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_reasoning_that_only_the_total_counts_is_charged(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, "sim-chat--hidden-reasoning-500")

    usage = await usage_of(http, host, is_streamed=is_streamed)

    true_usage = upstream.calls()[0]["usage"]
    assert tokens_of(usage) == true_usage
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 500
    assert true_usage["completion_tokens"] > 500
    assert await books_of(database, host) == charged(cost_of([true_usage]))


async def usage_of(http: httpx.AsyncClient, host: Organization, *, is_streamed: bool) -> Any:
    """The usage that the client is told."""
    if not is_streamed:
        return (await answer_of(http, host, WORDS))["usage"]
    streamed = await stream(http, host, WORDS, stream_options=USAGE)
    assert streamed.usage is not None
    return streamed.usage["usage"]
