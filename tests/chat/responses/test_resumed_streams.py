"""Streams of responses in the background: read again from any event on, and from any process."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from app.response_runs import service as response_runs
from tests.agents.definitions import make_host
from tests.chat.asking import open_http
from tests.chat.responses.asking import RESPONSES, WEATHER, response_of, stream
from tests.chat.responses.background import accepted, begun_stream, ended, events_of, resumed, shown
from tests.chat.responses.grammar import read_stream
from tests.conftest import Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database, "sim-chat--slow")


@pytest.fixture(scope="module")
async def replica(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """Another process."""
    async with (
        running_apis(api_process(stack.environment, stack.folder / "replica.log")) as (api,),
        open_http(api.url) as http,
    ):
        yield http


async def test_a_stream_in_the_background_is_a_stream(http: httpx.AsyncClient, host: Organization) -> None:
    words = 'first say "one moment", then get weather'

    streamed = await stream(http, host, words, tools=[WEATHER], background=True)

    assert streamed.response == await shown(http, host, streamed.response["id"])
    assert (streamed.text, streamed.response["output"][-1]["name"]) == ("one moment", "get_weather")


async def test_a_stream_is_resumed_after_every_event_by_another_process(
    http: httpx.AsyncClient, replica: httpx.AsyncClient, host: Organization
) -> None:
    response_id = await begun_stream(http, host, "count to 12", until=b'"2 "')

    # Some while it runs, the others once it has ended.
    whole = await resumed(replica, host, response_id)
    events = events_of(whole.content)
    rest = await asyncio.gather(*(resumed(replica, host, response_id, number) for number in range(len(events))))

    streamed = read_stream(whole, whole.content)
    assert streamed.text == "1 2 3 4 5 6 7 8 9 10 11 12"
    assert streamed.response == await shown(replica, host, response_id)
    for number, each in enumerate(rest):
        assert events_of(each.content) == events[number + 1 :] if number + 1 < len(events) else each.content == b""


async def test_two_that_read_while_it_runs_read_the_same(
    http: httpx.AsyncClient, replica: httpx.AsyncClient, host: Organization
) -> None:
    response_id = await begun_stream(http, host, "count to 30")

    first, second, late = await asyncio.gather(
        resumed(http, host, response_id), resumed(replica, host, response_id), resumed(replica, host, response_id, 2)
    )

    assert events_of(first.content) == events_of(second.content)
    assert events_of(late.content) == events_of(first.content)[3:]
    assert read_stream(first, first.content).text == " ".join(map(str, range(1, 31)))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"stream": "true", "starting_after": "100000"}, "starting_after"),
        ({"stream": "true", "starting_after": "2147483648"}, "starting_after"),
        ({"stream": "true", "starting_after": "-1"}, "starting_after"),
        ({"stream": "true", "starting_after": "a"}, "starting_after"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
async def test_what_cannot_be_resumed_is_refused(
    http: httpx.AsyncClient, host: Organization, query: dict[str, str], param: str
) -> None:
    response_id = await begun_stream(http, host, "count to 2")

    refused = await http.get(f"{RESPONSES}/{response_id}", params=query, headers=host.headers)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_only_a_stream_in_the_background_is_resumed(http: httpx.AsyncClient, host: Organization) -> None:
    whole = await accepted(http, host, "count to 2")
    await ended(http, host, whole["id"])
    foreground = (await response_of(http, host, "count to 2"))["id"]

    for response_id in (whole["id"], foreground):
        refused = await resumed(http, host, response_id)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
    assert (await resumed(http, host, "resp_unknown")).status_code == 404


async def test_events_are_few_rows(http: httpx.AsyncClient, database: Database, host: Organization) -> None:
    response_id = await begun_stream(http, host, "count to 60")
    events = events_of((await resumed(http, host, response_id)).content)

    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT first FROM response_events WHERE response_id = $1", response_id)

    assert len(events) > 60
    assert len(rows) < 30


async def test_events_are_forgotten_a_day_after_the_end(
    http: httpx.AsyncClient, database: Database, host: Organization
) -> None:
    old, new = [await begun_stream(http, host, "count to 2") for _ in range(2)]
    responses = [await ended(http, host, response_id) for response_id in (old, new)]
    async with database.transaction() as tx:
        await tx.execute("UPDATE response_runs SET ended_at = now() - interval '25 hours' WHERE id = $1", old)

    await response_runs.forget_events(database)

    refused = await resumed(http, host, old)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")
    assert "any more" in refused.json()["error"]["message"]
    assert (await resumed(http, host, new)).status_code == 200
    assert [await shown(http, host, response_id) for response_id in (old, new)] == responses
    async with database.transaction() as tx:
        assert not await tx.fetch("SELECT FROM response_events WHERE response_id = $1", old)
