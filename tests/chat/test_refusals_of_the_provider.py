"""A provider that fails before its first word: the client gets an error status; nothing is charged or remembered."""

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import ask, ask_to_stream, conversation
from tests.chat.books import NOTHING_CHARGED, books_of
from tests.chat.openai.grammar import check_error
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.reading import messages_of

STREAMED_ONLY = ["error-frame-0", "cut-0", "garbage-0"]
FAILING = ["status-401", "status-402", "status-403", "status-404", "status-500", "html-502"]


async def refused(http: httpx.AsyncClient, host: Organization, *, is_streamed: bool) -> httpx.Response:
    response = await (ask_to_stream if is_streamed else ask)(http, host, "count to 5")
    assert response.headers["content-type"] == "application/json"
    check_error(response.json()["error"])
    return response


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("fault", [*FAILING, "drop-before-response", *STREAMED_ONLY])
async def test_a_failure_is_a_502_that_must_not_be_retried(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")

    response = await refused(http, host, is_streamed=is_streamed)

    assert response.status_code == 502
    assert (response.json()["error"]["type"], response.json()["error"]["code"]) == ("provider_error", "provider_error")
    assert response.headers["x-should-retry"] == "false"
    assert len(upstream.calls()) == 1
    assert await books_of(database, host) == NOTHING_CHARGED


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("fault", "seconds", "may_repeat"),
    [
        ("status-429-7", "7", True),
        ("status-429-60", "60", True),
        ("status-429-61", "60", False),
        ("status-429", "5", True),
    ],
)
async def test_throttling_is_passed_on_with_the_time_to_wait(
    http: httpx.AsyncClient, database: Database, fault: str, seconds: str, may_repeat: bool, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")

    response = await refused(http, host, is_streamed=is_streamed)

    assert response.status_code == 429
    assert (response.json()["error"]["type"], response.json()["error"]["code"]) == (
        "rate_limit_error",
        "provider_rate_limited",
    )
    assert response.headers["retry-after"] == seconds
    # SDKs wait and retry by themselves, but not for longer than a minute.
    assert response.headers.get("x-should-retry") == (None if may_repeat else "false")
    assert await books_of(database, host) == NOTHING_CHARGED


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_failed_turn_leaves_its_session_as_it_was(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database, "sim-chat--status-500-1")
    words = f"count to {5 + is_streamed}"  # of equal requests only the first one fails

    failed = await (ask_to_stream if is_streamed else ask)(http, host, words, **conversation("ours"))
    repeated = await ask(http, host, words, **conversation("ours"))

    assert (failed.status_code, repeated.status_code) == (502, 200)
    # The repeated request has no second copy of the words: the failed turn stored nothing.
    assert [len(request["messages"]) for request in upstream.requests()] == [1, 1]


async def test_a_request_that_the_provider_rejects_is_not_remembered(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--unheard-of")

    rejected = await ask(http, host, "count to 5", **conversation("ours"))

    assert rejected.status_code == 400
    assert rejected.json()["error"]["code"] == "invalid_request"
    assert rejected.json()["error"]["param"] == "model"
    assert await messages_of(http, host, "ours") == []
