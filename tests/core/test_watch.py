"""What a process knows of a server whose state changes."""

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from app.core.watch import OK, Finding, Watch
from tests.waiting import until

BROKEN = Finding("refused", "wrong keys")


@dataclass
class Server:
    """A server that is probed: what the next probe finds, how many there were, and what holds them up."""

    state: Finding = OK
    probes: int = 0
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.is_open.set()

    async def probe(self) -> Finding:
        self.probes += 1
        await self.is_open.wait()
        return self.state


@pytest.fixture
def server() -> Server:
    return Server()


async def test_a_recent_finding_is_used_again(server: Server) -> None:
    watch = Watch("objects", server.probe)

    assert [await watch.find(within=60) for _ in range(3)] == [OK] * 3
    assert server.probes == 1


async def test_several_that_ask_at_once_share_one_probe(server: Server) -> None:
    watch = Watch("objects", server.probe)

    assert await asyncio.gather(*(watch.find(within=60) for _ in range(20))) == [OK] * 20
    assert server.probes == 1


async def test_what_was_found_before_a_failure_does_not_count(server: Server) -> None:
    watch = Watch("objects", server.probe)
    await watch.find(within=60)

    server.state = BROKEN
    watch.doubt()

    assert watch.doubted.is_set()
    assert await watch.find(within=60) == BROKEN


async def test_a_probe_that_ran_while_something_failed_proves_nothing(server: Server) -> None:
    watch = Watch("objects", server.probe)
    server.is_open.clear()
    asking = asyncio.create_task(watch.find(within=60))
    await until(lambda: has_begun(server))

    watch.doubt()
    server.is_open.set()

    assert not (await asking).is_ok
    assert await watch.find(within=60) == OK


async def has_begun(server: Server) -> bool:
    """Whether a probe has reached the server."""
    return server.probes > 0


async def test_a_server_that_does_not_respond_is_unavailable_until_it_does(server: Server) -> None:
    watch = Watch("objects", server.probe, probe_seconds=0.01)
    server.is_open.clear()

    assert (await watch.find(within=60)).state == "unavailable"
    assert (await watch.find(within=0)).state == "unavailable"
    assert server.probes == 1
    server.is_open.set()
    await watch.close()


async def test_an_unusable_server_is_probed_at_every_look_and_a_usable_one_is_not(server: Server) -> None:
    watch = Watch("objects", server.probe)
    server.state = BROKEN
    for _ in range(3):
        await watch.look()
    server.state = OK
    for _ in range(3):
        await watch.look()

    assert server.probes == 4


async def test_every_change_is_logged_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="app.core.watch")
    watch = Watch("objects", server.probe)
    for state in (BROKEN, BROKEN, OK, OK, BROKEN):
        server.state = state
        watch.doubt()
        await watch.look()

    events = [(record.levelname, record.message, record.__dict__.get("reason")) for record in caplog.records]
    assert events == [
        ("ERROR", "store_unusable", "wrong keys"),
        ("INFO", "store_usable", None),
        ("ERROR", "store_unusable", "wrong keys"),
    ]
    assert watch.was_ok
