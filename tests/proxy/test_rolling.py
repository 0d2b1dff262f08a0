"""Processes are replaced one by one under load, and no request fails."""

import asyncio
from collections.abc import Awaitable

from tests.deployment.load import Report, run_load
from tests.factories import Organization
from tests.proxy.conftest import Fleet


async def load_during(
    change: Awaitable[None],
    fleet: Fleet,
    customers: list[Organization],
    *,
    chats_per_second: float,
    streams: int,
    stream_words: int,
) -> Report:
    """Send this load until the change is complete. Returns what became of it."""
    stopping = asyncio.Event()
    load = asyncio.create_task(
        run_load(
            fleet.proxy.url,
            *(customer.api_key for customer in customers),
            stopping=stopping,
            chats_per_second=chats_per_second,
            streams=streams,
            stream_words=stream_words,
        )
    )
    try:
        await change
    finally:
        stopping.set()
    return await load


async def replace_each(fleet: Fleet) -> None:
    await asyncio.sleep(1)  # the load has begun
    for api in fleet.apis:
        api.running.terminate()
        assert await asyncio.to_thread(api.running.wait) == 0
        await asyncio.sleep(0.5)  # the load goes on with one process alone
        api.launch()
        await asyncio.to_thread(api.wait_until_ready)
    await asyncio.sleep(1)


async def test_no_request_fails_while_the_processes_are_replaced_one_by_one(
    fleet: Fleet, customers: list[Organization]
) -> None:
    report = await load_during(replace_each(fleet), fleet, customers, chats_per_second=20, streams=4, stream_words=40)

    assert report.failures == {}
    assert report.chats > 20
    assert report.streams >= 4


async def test_no_request_fails_while_an_address_does_not_answer(fleet: Fleet, customers: list[Organization]) -> None:
    """As that of a container that is gone, until the name server forgets it."""
    fleet.proxy.addresses.append("127.0.0.9")
    report = await load_during(asyncio.sleep(3), fleet, customers, chats_per_second=10, streams=2, stream_words=20)
    fleet.proxy.addresses.remove("127.0.0.9")

    assert report.failures == {}
    assert report.chats > 5
