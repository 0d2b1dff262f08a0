"""Senders of webhooks that are killed before or after any of their statements: each event arrives, as the same event.

`FULL=1` kills one before and after each statement in turn. Otherwise at some of them, which `SEED` chooses.
"""

import asyncio
import os
import random
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from app.core.database import Database
from app.webhook_endpoints.models import DeliveryState
from tests import factories
from tests.core.sites import settings_of
from tests.faults.postgres_proxy import PostgresProxy, postgres_proxy
from tests.programs import ROOT
from tests.waiting import PATIENCE, until
from tests.webhook_endpoints import endpoints
from tests.webhook_endpoints.endpoints import deliveries, make_due, tell
from tests.webhook_endpoints.receiver import OK, Receiver, receiving, status
from tests.worker.manual_worker import ManualWorker, open_manual_worker

_IS_FULL = os.environ.get("FULL") == "1"
_SAMPLE = 2
# A round in which nothing is due. Tries that end apart, or take long, have more of them.
_ROUND = 4
_SUBJECTS = ("first", "second")
REFUSED = status(500)
# What the receiver answers to the sender that is killed, and whether the statement still reaches Postgres.
_CASES = {
    "taken, before": (OK, False),
    "refused, after": (REFUSED, True),
    "taken, after": (OK, True),
    "refused, before": (REFUSED, False),
}
_TRIED = list(_CASES) if _IS_FULL else list(_CASES)[:2]


@dataclass(frozen=True)
class Scene:
    """A site with a worker that sends when a test wants it to, and the settings of senders behind a proxy."""

    worker: ManualWorker
    proxy: PostgresProxy
    settings: dict[str, str]

    @property
    def database(self) -> Database:
        return self.worker.resources.database


@dataclass(frozen=True)
class Told:
    """The events of one organization, and who receives them."""

    organization_id: str
    receiver: Receiver


@pytest.fixture(scope="module")
async def scene(site: dict[str, str]) -> AsyncIterator[Scene]:
    async with (
        open_manual_worker(settings_of(site)) as worker,
        postgres_proxy(site["DATABASE_URL"]) as (proxy, url),
    ):
        yield Scene(worker, proxy, site | {"DATABASE_URL": url})


@asynccontextmanager
async def told(scene: Scene, answer: bytes) -> AsyncIterator[Told]:
    """Two events for an endpoint that answers so."""
    organization = await factories.make_organization(scene.database)
    async with receiving() as receiver:
        receiver.answer = answer
        await endpoints.add_endpoint(scene.database, scene.worker.settings, organization.id, receiver.url)
        await tell(scene.database, organization.id, *_SUBJECTS)
        yield Told(organization.id, receiver)


async def end(scene: Scene, there: Told) -> None:
    """Send the organization's events until all of them are delivered."""
    there.receiver.answer = OK

    async def all_delivered() -> bool:
        # The leases of those who were killed end.
        await make_due(scene.database)
        await scene.worker.steps.deliver.run()
        found = await deliveries(scene.database, there.organization_id)
        return [each.state for each in found] == [DeliveryState.DELIVERED] * len(_SUBJECTS)

    await until(all_delivered)


async def start_sender(scene: Scene) -> Process:
    environment = {"PATH": os.environ["PATH"], **scene.settings}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.worker_faults.sender", cwd=ROOT, env=environment
    )


async def statements_of_a_sender(scene: Scene, answer: bytes) -> int:
    """How many statements a sender runs to its end."""
    async with told(scene, answer) as there:
        before = scene.proxy.statements
        sender = await start_sender(scene)
        assert await asyncio.wait_for(sender.wait(), PATIENCE) == 0
        count = scene.proxy.statements - before
        await end(scene, there)
    return count


async def kill_at(scene: Scene, number: int, answer: bytes, *, is_sent: bool) -> bool:
    """Kill a sender at this statement, before or after it has been sent, and check what its receiver gets in the end.

    Returns:
        Whether it got so far.
    """
    async with told(scene, answer) as there:
        scene.proxy.hold(number)
        sender = await start_sender(scene)
        held = asyncio.create_task(scene.proxy.wait_until_held())
        ended = asyncio.create_task(sender.wait())
        await asyncio.wait({held, ended}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        was_held = held.done()
        held.cancel()
        if sender.returncode is None:
            sender.kill()
        await ended
        await scene.proxy.bury(is_sent=is_sent)
        await end(scene, there)
        check(there.receiver, answer)
    return was_held


def check(receiver: Receiver, answer: bytes) -> None:
    """Each event has come, at most once more for the kill and once more for a refusal, and always as the same event."""
    for subject in _SUBJECTS:
        got = [each for each in receiver.got if each.event["data"]["subject"] == subject]
        assert 1 <= len(got) <= (2 if answer == OK else 3)
        assert len({(each.event_id, each.body) for each in got}) == 1
    assert len({each.event_id for each in receiver.got}) == len(_SUBJECTS)


def choose(count: int) -> Sequence[int]:
    """The numbers of the statements at which a sender is killed."""
    numbers = range(1, count + 1)
    return numbers if _IS_FULL else random.Random(os.environ.get("SEED", "1")).sample(numbers, min(_SAMPLE, count))


@pytest.mark.timeout(3600 if _IS_FULL else 300)
@pytest.mark.parametrize("case", _TRIED)
async def test_a_killed_sender_loses_nothing(scene: Scene, case: str) -> None:
    answer, is_sent = _CASES[case]
    count = await statements_of_a_sender(scene, answer)

    held = {number: await kill_at(scene, number, answer, is_sent=is_sent) for number in choose(count)}

    assert all(was_held for number, was_held in held.items() if number <= count - 2 * _ROUND), held
    assert any(held.values())
