"""Webhooks as the simulator sends them, received by a server in the test."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from multidict import CIMultiDictProxy

from app.core import clock
from app.predictions.parsing import parse_json, parse_prediction
from app.predictions.replicate import ReplicateClient
from app.predictions.signatures import WebhookSignatureError, verify
from tests.predictions.conftest import WEBHOOK_SECRET


@dataclass(frozen=True)
class Received:
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True)
class Receiver:
    url: str
    webhooks: asyncio.Queue[Received]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async def receive(request: web.Request) -> web.Response:
        webhooks.put_nowait(Received(request.headers, await request.read()))
        return web.Response()

    webhooks: asyncio.Queue[Received] = asyncio.Queue()
    app = web.Application()
    app.router.add_post("/webhook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield Receiver(f"http://{host}:{port}/webhook", webhooks)
    await runner.cleanup()


async def test_the_vendor_sends_a_signed_webhook(client: ReplicateClient, receiver: Receiver) -> None:
    created = await client.create(model="simulator/json", input={}, webhook=receiver.url, cancel_after=600)
    received = await receiver.webhooks.get()

    verify([WEBHOOK_SECRET], received.headers, received.body, clock.now())

    reported = parse_prediction(parse_json(received.body))
    assert (reported.id, reported.webhook) == (created.id, receiver.url)


@pytest.mark.parametrize("fault", ["webhook-bad-signature", "webhook-old-timestamp", "webhook-reencoded"])
async def test_a_webhook_with_a_wrong_signature_is_refused(
    client: ReplicateClient, receiver: Receiver, fault: str
) -> None:
    await client.create(model=f"simulator/json--{fault}", input={}, webhook=receiver.url, cancel_after=600)
    received = await receiver.webhooks.get()

    with pytest.raises(WebhookSignatureError):
        verify([WEBHOOK_SECRET], received.headers, received.body, clock.now())
