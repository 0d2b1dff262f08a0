"""The events that open pages of content follow: what they say, and when they end."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.admin.content.live import MOST_OPEN, Streams, follow
from app.admin.content.live_queries import State
from app.core.database import Database
from app.generations.models import Generation
from app.generations.states import Status
from tests import programs
from tests.admin.conftest import Browser
from tests.admin.contents import add_content
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import PATIENCE, until

Event = tuple[str, dict[str, Any]]


@asynccontextmanager
async def opened(browser: Browser, *contents: Generation, known: str = "old") -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a page that shows these contents in this version."""
    pairs = ",".join(f"{content.id}:{known}" for content in contents)
    async with browser.stream("GET", "/content/events", params={"known": pairs}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events_of(response)


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def the_next(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(PATIENCE):
        return await anext(events)


async def complete(database: Database, content: Generation) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET status = 'completed', content_type = 'image', credit_cost = 0, completed_at = now()"
            " WHERE id = $1",
            content.id,
        )


async def test_a_page_hears_of_each_change_until_all_have_ended(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    first, second = [await add_content(database, organization, "processing") for _ in range(2)]

    async with opened(owner_browser, first, second) as events:
        heard = [await the_next(events), await the_next(events)]
        await complete(database, first)
        assert await the_next(events) == ("change", {"id": str(first.id), "status": "completed", "is_ended": True})
        await complete(database, second)
        assert (await the_next(events))[1]["id"] == str(second.id)
        assert (await the_next(events))[0] == "done"
        assert [event async for event in events] == []

    assert {event["id"] for _, event in heard} == {str(first.id), str(second.id)}
    assert all(not event["is_ended"] for _, event in heard)


async def test_a_page_hears_nothing_of_what_it_shows_already(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "processing")
    tile = await owner_browser.get(f"/content/{content.id}/tile")
    version = tile.text.partition('data-version="')[2].partition('"')[0]

    async with owner_browser.stream(
        "GET", f"/content/{content.id}/events", params={"known": f"{content.id}:{version}"}
    ) as response:
        events = events_of(response)
        await complete(database, content)
        assert (await the_next(events))[1]["status"] == "completed"


async def test_signing_out_ends_the_streams(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "processing")

    async with opened(owner_browser, content) as events:
        await the_next(events)
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM console_sessions WHERE user_id = $1", organization.user_id)

        assert await the_next(events) == ("gone", {})
        assert [event async for event in events] == []


async def test_a_session_has_so_many_streams_and_no_more(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "processing")
    address: dict[str, Any] = {"url": "/content/events", "params": {"known": f"{content.id}:old"}}

    async def status() -> int:
        async with owner_browser.stream("GET", **address) as response:
            return response.status_code

    async def has_room() -> bool:
        return await status() == 200

    async with AsyncExitStack() as streams:
        # An iterator that nobody keeps ends its stream.
        kept = [await streams.enter_async_context(opened(owner_browser, content)) for _ in range(MOST_OPEN)]
        for events in kept:
            await the_next(events)

        assert await status() == 204

    assert await until(has_room)


async def test_open_streams_keep_no_transaction(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "processing")

    async with opened(owner_browser, content) as events:
        await the_next(events)
        async with database.transaction() as tx:
            longest = await tx.fetchval(
                "SELECT max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity"
                " WHERE state LIKE 'idle in transaction%' AND query LIKE '%is_finished%'"
            )

    assert (longest or 0) < 1


async def test_a_server_that_stops_ends_its_streams(
    stack: Stack, owner_browser: Browser, database: Database, organization: Organization, tmp_path: Path
) -> None:
    content = await add_content(database, organization, "processing")
    api = programs.api_process(stack.environment, tmp_path / "api.log")

    async with programs.running_apis(api):
        url = f"{api.url}/admin/content/events"
        cookies = {cookie.name: cookie.value or "" for cookie in owner_browser.cookies.jar}
        async with (
            httpx.AsyncClient(timeout=PATIENCE, cookies=cookies) as client,
            client.stream("GET", url, params={"known": f"{content.id}:old"}) as response,
        ):
            events = events_of(response)
            await the_next(events)
            api.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert [event async for event in events] == []


async def test_a_stream_ends_by_itself_after_a_while() -> None:
    async def look() -> list[State]:
        return [state]

    state = State(
        id=Generation().id, status=Status.PENDING, retry_count=0, is_parked=False, is_started=False, is_finished=False
    )
    heard = [event async for event in follow(look, {str(state.id): state.version}, lambda: False, seconds=0.1)]

    assert heard == [b"retry: 3000\n\n"]


def test_streams_are_counted_by_session() -> None:
    streams = Streams()

    with streams.opened("a"), streams.opened("a"), streams.opened("b"):
        assert streams.has_room("a")
        with streams.opened("a"), streams.opened("a"):
            assert not streams.has_room("a")
            assert streams.has_room("b")

    assert streams.has_room("a")
