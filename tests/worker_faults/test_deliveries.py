"""Webhooks as receivers get them, whatever receivers, workers and their leases do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.webhook_endpoints import sending, service
from app.webhook_endpoints.models import DeliveryState
from app.webhook_endpoints.schedule import PAUSES
from app.webhook_endpoints.service import EndpointChanges, Setup
from devstack.process import Process
from tests import factories, programs
from tests.core.sites import settings_of
from tests.factories import Organization
from tests.waiting import until
from tests.webhook_endpoints import endpoints
from tests.webhook_endpoints.endpoints import deliveries, make_due, tell
from tests.webhook_endpoints.receiver import OK, Received, Receiver, receiving, status
from tests.worker.manual_worker import ManualWorker, open_manual_worker

_LEASE = timedelta(seconds=60)
_LAST_CHANGE = "SELECT event FROM audit_events WHERE object_id = $1 ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True)
class Scene:
    """An organization whose only endpoint is the receiver, and a worker that sends when a test wants it to."""

    worker: ManualWorker
    organization_id: str
    receiver: Receiver
    endpoint_id: str
    secret: str

    @property
    def database(self) -> Database:
        return self.worker.resources.database

    async def tell(self, *subjects: str) -> None:
        """An event for each subject."""
        await tell(self.database, self.organization_id, *subjects)

    async def deliver(self) -> None:
        """A round of the worker's step, until what it has begun has ended."""
        await self.worker.steps.deliver.run()

    async def make_due(self) -> None:
        """Let all pauses and leases end."""
        await make_due(self.database)

    async def states(self) -> list[tuple[str, int, int | None]]:
        """State, number of tries and last status of all deliveries, the newest first."""
        found = await deliveries(self.database, self.organization_id)
        return [(each.state.value, each.tries, each.last_status) for each in found]

    async def column(self, name: str) -> Any:
        """One column of the endpoint."""
        return await endpoints.column(self.database, self.endpoint_id, name)


@pytest.fixture(scope="module")
async def worker(site: dict[str, str]) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of(site)) as opened:
        yield opened


@pytest.fixture(scope="module")
async def organization(worker: ManualWorker) -> Organization:
    return await factories.make_organization(worker.resources.database)


@pytest.fixture
async def scene(worker: ManualWorker, organization: Organization) -> AsyncIterator[Scene]:
    database = worker.resources.database
    async with receiving() as receiver:
        made = await endpoints.add_endpoint(database, worker.settings, organization.id, receiver.url)
        yield Scene(worker, organization.id, receiver, made.endpoint.id, made.secret)
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM webhook_events")
        await tx.execute("DELETE FROM webhook_endpoints")


async def test_what_arrives_is_signed_and_is_told_with_its_moment(scene: Scene) -> None:
    await scene.tell("first")

    await scene.deliver()

    (got,) = scene.receiver.got
    event = Webhook(scene.secret).verify(got.body, got.headers)
    assert (event["type"], event["data"]) == ("credits.low", {"subject": "first"})
    assert set(event) == {"type", "timestamp", "data"}
    assert got.headers["content-type"] == "application/json"
    assert await scene.states() == [("delivered", 1, 200)]


async def test_the_same_event_comes_again_with_a_signature_of_its_own_until_it_is_taken(scene: Scene) -> None:
    await scene.tell("again")
    scene.receiver.answer = status(500)

    await scene.deliver()
    first = await deliveries(scene.database, scene.organization_id)
    await scene.make_due()
    scene.receiver.answer = OK
    await scene.deliver()

    assert [(each.state.value, each.tries, each.last_status) for each in first] == [("pending", 1, 500)]
    one, other = scene.receiver.got
    assert (one.event_id, one.body) == (other.event_id, other.body)
    for got in (one, other):
        Webhook(scene.secret).verify(got.body, got.headers)
    assert await scene.states() == [("delivered", 2, 200)]


async def test_after_the_last_try_of_the_schedule_a_delivery_is_given_up_and_can_be_sent_again(scene: Scene) -> None:
    await scene.tell("hopeless")
    scene.receiver.answer = status(503)
    pauses = []

    for _ in range(len(PAUSES) + 1):
        await scene.deliver()
        (found,) = await deliveries(scene.database, scene.organization_id)
        async with scene.database.transaction() as tx:
            now = await tx.fetchval("SELECT now()")
        pauses.append(found.next_try_at - now if found.next_try_at else None)
        await scene.make_due()
    await scene.deliver()

    assert await scene.states() == [("failed", len(PAUSES) + 1, 503)]
    assert pauses[-1] is None
    for pause, planned in zip(pauses, PAUSES, strict=False):
        assert pause is not None
        assert planned - timedelta(seconds=5) <= pause <= 1.2 * planned
    scene.receiver.answer = OK
    async with scene.database.transaction() as tx:
        await service.resend(tx, scene.organization_id, str(found.id))
    await scene.deliver()
    assert await scene.states() == [("delivered", len(PAUSES) + 2, 200)]
    assert len({got.event_id for got in scene.receiver.got}) == 1


@pytest.mark.parametrize(("asked", "least", "most"), [("600", 590, 600), ("1e9", 86_390, 86_400), ("soon", 4, 6)])
async def test_a_receiver_may_ask_for_time_but_not_for_ever(scene: Scene, asked: str, least: int, most: int) -> None:
    await scene.tell("later")
    scene.receiver.answer = status(429, f"Retry-After: {asked}")

    await scene.deliver()

    async with scene.database.transaction() as tx:
        seconds = await tx.fetchval("SELECT extract(epoch FROM due_at - now()) FROM webhook_deliveries")
    assert least <= seconds <= most


async def test_an_endpoint_that_is_gone_gets_nothing_more(scene: Scene) -> None:
    await scene.tell("gone")
    scene.receiver.answer = status(410)

    await scene.deliver()
    await scene.tell("not written")
    await scene.deliver()

    assert await scene.states() == [("failed", 1, 410)]
    async with scene.database.transaction() as tx:
        event = await tx.fetchval(_LAST_CHANGE, scene.endpoint_id)
    assert (await scene.column("disabled_reason"), event) == ("gone", "webhook_endpoint_disabled")


@pytest.mark.parametrize(("hours", "is_off"), [(119, False), (121, True)])
async def test_after_five_days_of_failures_alone_an_endpoint_is_switched_off(
    scene: Scene, hours: int, is_off: bool
) -> None:
    await endpoints.fail_since(scene.database, scene.endpoint_id, timedelta(hours=hours))
    await scene.tell("failing")
    scene.receiver.answer = status(500)

    await scene.deliver()

    reason = await scene.column("disabled_reason")
    assert reason == ("failing" if is_off else None)
    await scene.make_due()
    await scene.deliver()
    assert (await scene.states())[0][0] == ("failed" if is_off else "pending")
    assert len(scene.receiver.got) == (1 if is_off else 2)
    if not is_off:
        scene.receiver.answer = OK
        await scene.make_due()
        await scene.deliver()
        assert await scene.column("failing_since") is None


async def test_while_secrets_change_both_sign(scene: Scene) -> None:
    async with scene.database.transaction() as tx:
        setup = Setup.of(scene.worker.settings)
        rotated = await service.rotate_secret(tx, scene.organization_id, scene.endpoint_id, setup, actor=COMMAND_LINE)
    await scene.tell("both")
    await scene.deliver()
    async with scene.database.transaction() as tx:
        await tx.execute("UPDATE webhook_endpoints SET former_until = now() WHERE id = $1", scene.endpoint_id)
    await scene.tell("new one only")
    await scene.deliver()

    both, new = scene.receiver.got
    for each in (scene.secret, rotated.secret):
        Webhook(each).verify(both.body, both.headers)
    Webhook(rotated.secret).verify(new.body, new.headers)
    assert (len(both.headers["webhook-signature"].split()), len(new.headers["webhook-signature"].split())) == (2, 1)


async def test_an_endpoint_gets_four_at_once_and_a_slow_one_holds_up_no_other(
    scene: Scene, site: dict[str, str]
) -> None:
    """The slow one answers only when the other one, whose events were written later, has got all of its own."""
    quick_has_all = asyncio.Event()

    async def wait(request: Received, writer: asyncio.StreamWriter) -> None:
        await quick_has_all.wait()
        writer.write(OK)

    scene.receiver.answer = wait
    await scene.tell(*map(str, range(12)))
    async with receiving() as quick, open_manual_worker(settings_of(site)) as second:
        rounds = [asyncio.create_task(each.steps.deliver.run()) for each in (scene.worker, second)]
        await scene.receiver.until_got(4)
        await endpoints.add_endpoint(scene.database, scene.worker.settings, scene.organization_id, quick.url)
        await scene.tell(*map(str, range(10)))
        await quick.until_got(10)
        quick_has_all.set()
        await asyncio.gather(*rounds)
        await scene.deliver()

    assert scene.receiver.most_open == 4
    assert len({got.event_id for got in scene.receiver.got}) == len(scene.receiver.got) == 22
    assert {state for state, *_ in await scene.states()} == {"delivered"}


async def test_one_that_fails_is_tried_one_at_a_time(scene: Scene) -> None:
    await endpoints.fail_since(scene.database, scene.endpoint_id, timedelta(hours=1))
    await scene.tell(*map(str, range(5)))

    async with scene.database.transaction() as tx:
        claimed = await sending.claim(tx, 100, _LEASE)
        again = await sending.claim(tx, 100, _LEASE)

    assert (len(claimed), len(again)) == (1, 0)


async def test_several_that_claim_at_once_get_no_more_than_may_be_sent(scene: Scene) -> None:
    await scene.tell(*map(str, range(20)))

    async def claim() -> list[str]:
        async with scene.database.transaction() as tx:
            return [str(each.id) for each in await sending.claim(tx, 100, _LEASE)]

    claimed = [each for some in await asyncio.gather(*(claim() for _ in range(8))) for each in some]

    assert len(claimed) == len(set(claimed)) == sending.MOST_AT_ONCE


async def test_whoever_sleeps_beyond_its_lease_changes_nothing(scene: Scene) -> None:
    await scene.tell("slept")
    async with scene.database.transaction() as tx:
        (stale,) = await sending.claim(tx, 10, _LEASE)
    await scene.make_due()
    await scene.deliver()

    failed = sending.Outcome(stale_began := await _now(scene), 1, 500, "it failed")
    async with scene.database.transaction() as tx:
        assert not await sending.note_failed(tx, stale, failed, timedelta(0))
        assert not await sending.note_gone(tx, stale, sending.Outcome(stale_began, 1, 410, "gone"))
        await sending.hand_back(tx, stale)

    assert await scene.states() == [("delivered", 1, 200)]
    assert (await scene.column("failing_since"), await scene.column("disabled_at")) == (None, None)


async def test_what_waits_for_an_endpoint_that_was_switched_off_is_given_up_unless_it_is_switched_on_before(
    scene: Scene,
) -> None:
    setup = Setup.of(scene.worker.settings)

    async def switch(*, is_enabled: bool) -> None:
        async with scene.database.transaction() as tx:
            changes = EndpointChanges(is_enabled=is_enabled)
            await service.change_endpoint(
                tx, scene.organization_id, scene.endpoint_id, setup, changes, actor=COMMAND_LINE
            )

    await scene.tell("kept")
    await switch(is_enabled=False)
    await switch(is_enabled=True)
    await scene.deliver()
    await scene.tell("given up")
    await switch(is_enabled=False)
    await scene.deliver()

    assert [state for state, *_ in await scene.states()] == ["failed", "delivered"]
    assert len(scene.receiver.got) == 1


async def test_a_worker_that_stops_hands_over_what_it_is_sending(scene: Scene, site: dict[str, str]) -> None:
    async def never(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    scene.receiver.answer = never
    await scene.tell("handed over")
    async with open_manual_worker(settings_of(site)) as stopping:
        claiming = asyncio.create_task(stopping.steps.deliver.run())
        await scene.receiver.until_got(1)
        claiming.cancel()
        await asyncio.wait([claiming])

    scene.receiver.answer = OK
    await scene.deliver()

    assert await scene.states() == [("delivered", 1, 200)]
    assert len(scene.receiver.got) == 2


async def test_what_a_killed_worker_was_sending_is_sent_by_another_one(
    scene: Scene, site: dict[str, str], run_folder: Path
) -> None:
    """It is killed between the receiver's request and its note. The lease ends; the same event comes again."""
    killed = asyncio.Event()

    async def after_the_kill(request: Received, writer: asyncio.StreamWriter) -> None:
        await killed.wait()
        writer.write(OK)

    scene.receiver.answer = after_the_kill
    await scene.tell(*map(str, range(6)))
    with programs.running_worker(site, run_folder / "killed-worker.log") as process:
        await scene.receiver.until_got(4)
        process.kill()
        await until(partial(_has_ended, process))
    killed.set()
    assert {state for state, *_ in await scene.states()} == {"pending"}

    scene.receiver.answer = OK
    async with scene.database.transaction() as tx:
        assert len(await sending.claim(tx, 100, _LEASE)) == 0
    await scene.make_due()

    async def all_delivered() -> bool:
        await scene.deliver()
        return all(state == DeliveryState.DELIVERED for state, *_ in await scene.states())

    await until(all_delivered)
    assert len({got.event_id for got in scene.receiver.got}) == 6
    assert {got.event["data"]["subject"] for got in scene.receiver.got} == set("012345")


async def _has_ended(process: Process) -> bool:
    return process.poll() is not None


async def _now(scene: Scene) -> Any:
    async with scene.database.transaction() as tx:
        return await tx.fetchval("SELECT now()")
