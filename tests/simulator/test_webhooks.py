"""Webhooks, received over a socket and verified without the simulator's own code."""

import base64
import hashlib
import hmac
import time

import pytest
from replicate.client import Client
from replicate.webhook import Webhooks, WebhookSigningSecret

from simulator.config import SimulatorConfig
from tests.simulator.conftest import WEBHOOK_SECRET
from tests.simulator.server import Received, RunningSimulator, WebhookReceiver, running_simulator
from tests.waiting import wait_until

ALL = ["start", "output", "logs", "completed"]
OLD_SECRET = "whsec_b2xkIHNlY3JldCBvZiB0aGUgdGVzdHM="


def is_signed(webhook: Received, secret: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{webhook.headers['webhook-id']}.{webhook.headers['webhook-timestamp']}.".encode() + webhook.body
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return expected in webhook.headers["webhook-signature"].split(" ")


def outcomes(simulator: RunningSimulator, count: int) -> list[object]:
    """The outcomes of the first webhooks, once they are known."""
    wait_until(lambda: len([each for each in simulator.log("webhook") if "outcome" in each]) >= count)
    return [each["outcome"] for each in simulator.log("webhook")]


def test_output_and_end_are_reported_by_default(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    created = simulator.create("simulator/image", webhook=receiver.url).json()

    output, completed = receiver.wait_for(2)

    assert (output.document["status"], completed.document["status"]) == ("processing", "succeeded")
    assert output.document["output"] == completed.document["output"]
    assert completed.document == simulator.read(created["id"])
    assert completed.document["webhook"] == receiver.url
    assert created["webhook"] == receiver.url


def test_all_events_come_in_order(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    model = "simulator/text--start-slow-10--slow-1"
    simulator.create(model, webhook=receiver.url, webhook_events_filter=ALL)
    simulator.skip(20)

    receiver.wait_for(4)

    assert [entry["event"] for entry in simulator.log("webhook")] == ["start", "logs", "output", "completed"]


def test_only_what_was_asked_for_is_reported(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    simulator.create("simulator/image", webhook=receiver.url, webhook_events_filter=["completed"])
    simulator.create("simulator/image--fail", webhook=receiver.url, webhook_events_filter=["start", "output"])

    receiver.wait_for(2)

    statuses = sorted(each.document["status"] for each in receiver.received)
    assert statuses == ["processing", "succeeded"]


async def test_signatures_satisfy_replicates_own_client(
    replicate_client: Client, simulator: RunningSimulator, receiver: WebhookReceiver
) -> None:
    secret = await replicate_client.webhooks.default.async_secret()
    simulator.create("simulator/json", webhook=receiver.url, webhook_events_filter=["completed"])
    [webhook] = receiver.wait_for(1)

    assert secret.key == WEBHOOK_SECRET
    assert is_signed(webhook, WEBHOOK_SECRET)
    Webhooks.validate(headers=webhook.headers, body=webhook.body.decode(), secret=WebhookSigningSecret(key=secret.key))


def test_during_a_rotation_webhooks_are_signed_with_both_secrets(receiver: WebhookReceiver) -> None:
    config = SimulatorConfig(webhook_secret=WEBHOOK_SECRET, old_webhook_secret=OLD_SECRET)
    with running_simulator(config) as rotating:
        rotating.create("simulator/json", webhook=receiver.url, webhook_events_filter=["completed"])
        [webhook] = receiver.wait_for(1)

    assert is_signed(webhook, WEBHOOK_SECRET)
    assert is_signed(webhook, OLD_SECRET)


def test_the_end_is_repeated_until_it_is_accepted(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    receiver.statuses = [500, 404]
    simulator.create("simulator/json", webhook=receiver.url, webhook_events_filter=["completed"])

    webhooks = receiver.wait_for(3)

    assert len({each.headers["webhook-id"] for each in webhooks}) == 1
    assert outcomes(simulator, 3) == [500, 404, 200]
    assert [entry["attempt"] for entry in simulator.log("webhook")] == [1, 2, 3]


def test_repeating_ends_a_minute_after_the_prediction(receiver: WebhookReceiver) -> None:
    receiver.statuses = [503] * 20
    # The clock runs a hundred times slower, so that only skips cause repetitions: the minute has 6000 seconds.
    with running_simulator(SimulatorConfig(speed=0.01)) as slow:
        first = slow.create("simulator/json", webhook=receiver.url, webhook_events_filter=["completed"]).json()
        for attempt in (1, 2, 3):
            slow.skip(10_000 if attempt == 3 else 150)
            outcomes(slow, attempt)
        slow.skip(10_000)
        second = slow.create("simulator/json", webhook=receiver.url, webhook_events_filter=["completed"]).json()
        slow.skip(150)
        outcomes(slow, 4)

        assert [entry["prediction_id"] for entry in slow.log("webhook")] == [first["id"]] * 3 + [second["id"]]


def test_what_happens_before_the_end_is_not_repeated(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    receiver.statuses = [500]
    simulator.create("simulator/image", webhook=receiver.url)

    receiver.wait_for(2)

    assert [entry["event"] for entry in simulator.log("webhook")] == ["output", "completed"]


def test_redirects_are_not_followed(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    receiver.statuses = [307]
    simulator.create("simulator/json", webhook=receiver.url, webhook_events_filter=["completed"])

    receiver.wait_for(2)

    assert outcomes(simulator, 2) == [307, 200]


@pytest.mark.parametrize("url", ["https://example.com/webhook", "http://10.0.0.1/webhook", "http://[2001:db8::1]/"])
def test_no_webhook_leaves_the_machine(simulator: RunningSimulator, url: str) -> None:
    simulator.create("simulator/json", webhook=url, webhook_events_filter=["completed"])

    assert outcomes(simulator, 1) == ["blocked: not a loopback address"]


def test_a_receiver_may_be_away(simulator: RunningSimulator) -> None:
    simulator.create("simulator/json", webhook="http://127.0.0.1:9/webhook", webhook_events_filter=["completed"])

    assert "ClientConnectorError" in outcomes(simulator, 1)


def test_a_cancelation_is_reported(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    created = simulator.create("simulator/image--slow-100", webhook=receiver.url, webhook_events_filter=ALL).json()
    receiver.wait_for(1)
    simulator.http.post(created["urls"]["cancel"])
    simulator.skip(200)

    start, completed = receiver.wait_for(2)

    assert (start.document["status"], completed.document["status"]) == ("processing", "canceled")
    assert completed.document["completed_at"] == simulator.read(created["id"])["completed_at"]


def test_a_deadline_is_reported(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    simulator.create("simulator/image--start-slow-100", {"Cancel-After": "30"}, webhook=receiver.url)
    simulator.skip(200)

    [completed] = receiver.wait_for(1)

    assert completed.document["status"] == "aborted"


def test_webhooks_may_be_lost(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    simulator.create("simulator/json--webhook-lost", webhook=receiver.url)
    simulator.skip(60)
    simulator.create("simulator/image", webhook=receiver.url, webhook_events_filter=["completed"])

    [webhook] = receiver.wait_for(1)

    assert webhook.document["model"] == "simulator/image"


def test_webhooks_may_come_twice(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    model = "simulator/json--webhook-duplicated"
    simulator.create(model, webhook=receiver.url, webhook_events_filter=["completed"])

    first, second = receiver.wait_for(2)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_webhooks_may_come_in_another_order(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    model = "simulator/image--webhook-reordered"
    simulator.create(model, webhook=receiver.url, webhook_events_filter=["start", "completed"])

    webhooks = receiver.wait_for(2)

    assert [each.document["status"] for each in webhooks] == ["succeeded", "processing"]


def test_webhooks_may_be_late(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    created = simulator.create("simulator/json--webhook-late-500", webhook=receiver.url).json()
    simulator.skip(450)
    early = len(simulator.log("webhook"))
    simulator.skip(100)

    receiver.wait_for(1)

    assert early == 0
    assert simulator.read(created["id"])["status"] == "succeeded"


@pytest.mark.parametrize("fault", ["bad-signature", "reencoded"])
def test_webhooks_may_be_wrongly_signed(simulator: RunningSimulator, receiver: WebhookReceiver, fault: str) -> None:
    simulator.create(f"simulator/json--webhook-{fault}", webhook=receiver.url)

    [webhook, *_] = receiver.wait_for(1)

    assert not is_signed(webhook, WEBHOOK_SECRET)
    assert webhook.document["model"].startswith("simulator/json")


def test_webhooks_may_be_old(simulator: RunningSimulator, receiver: WebhookReceiver) -> None:
    simulator.create("simulator/json--webhook-old-timestamp", webhook=receiver.url)

    [webhook, *_] = receiver.wait_for(1)

    assert is_signed(webhook, WEBHOOK_SECRET)
    assert time.time() - int(webhook.headers["webhook-timestamp"]) > 3500
