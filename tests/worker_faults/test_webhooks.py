"""A webhook only causes a poll: whatever it says, the vendor's response to the poll decides.

This site polls by itself only every ten minutes, so generations end here only because of a webhook.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from app.core.clock import now
from app.generations.callbacks import PATH
from app.generations.models import Generation
from tests import programs
from tests.vendors_simulator import VendorsSimulator
from tests.worker.workbench import Workbench, open_workbench
from tests.worker_faults.conftest import NewSite
from tests.worker_faults.webhooks import FOREIGN_SECRET, NEW_SECRET, OLD_SECRET, Webhook, webhook_about

_TEN_MINUTES = "600"
# It succeeds when it is cancelled, as if the cancellation came too late.
_LONG_PREDICTION = "simulator/image--slow-1000--cancel-race--webhook-lost"


@pytest.fixture(scope="module")
async def api(
    make_site: NewSite, signing_vendors: VendorsSimulator, run_folder: Path
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """An API and a worker that use webhooks. Yields the URL of the API and the settings of both."""
    site = await make_site(
        REPLICATE_BASE_URL=signing_vendors.replicate_url,
        OUTPUT_HOSTS=signing_vendors.url.removeprefix("http://"),
        REPLICATE_WEBHOOK_SECRET=f"{NEW_SECRET},{OLD_SECRET}",
        POLL_INTERVAL_SECONDS=_TEN_MINUTES,
        WORKER_LEASE_SECONDS=_TEN_MINUTES,
    )
    with programs.running_api(site, run_folder / "webhooks-api.log") as url:
        settings = {**site, "PUBLIC_URL": url}
        with programs.running_worker(settings, run_folder / "webhooks-worker.log"):
            yield url, settings


@pytest.fixture
def url(api: tuple[str, dict[str, str]]) -> str:
    return api[0]


@pytest.fixture
async def workbench(api: tuple[str, dict[str, str]], signing_vendors: VendorsSimulator) -> AsyncIterator[Workbench]:
    async with open_workbench(api[1], signing_vendors) as opened:
        yield opened


@pytest.mark.parametrize("fault", ["", "--webhook-duplicated", "--webhook-reordered"])
async def test_a_reported_end_is_processed_at_once_and_only_once(workbench: Workbench, fault: str) -> None:
    asked = await workbench.ask(f"simulator/image{fault}")

    ended = await workbench.until_ended(asked, is_hurried=False)

    assert (ended.status, ended.error_message) == ("completed", None)
    assert len(await workbench.charges(asked)) == 1
    assert len(await workbench.objects(asked)) == 1
    assert await workbench.held(asked) == 0


async def test_a_start_whose_response_was_lost_learns_its_prediction_from_the_webhook(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--create-accept-then-drop")

    ended = await workbench.until_ended(asked, is_hurried=False)

    (prediction,) = await workbench.predictions(asked)
    assert (ended.status, ended.prediction_id) == ("completed", prediction["id"])
    assert len(await workbench.creations(asked)) == 1


@pytest.mark.parametrize("fault", ["webhook-bad-signature", "webhook-old-timestamp", "webhook-reencoded"])
async def test_a_webhook_with_a_bad_or_old_signature_is_refused(workbench: Workbench, url: str, fault: str) -> None:
    asked = await workbench.ask(f"simulator/image--{fault}")
    started = await workbench.until_started(asked)
    await workbench.until(asked, lambda row: 401 in outcomes_of(workbench, row))

    assert (await workbench.row(asked)).outcome is None

    assert await webhook_about(started).post(url) == 204
    assert (await workbench.until_ended(asked, is_hurried=False)).status == "completed"


FORGERIES: dict[str, Callable[[Webhook], Webhook]] = {
    "signed with another secret": lambda genuine: genuine.changed(secret=FOREIGN_SECRET),
    "signed ten minutes ago": lambda genuine: genuine.changed(timestamp=time.time() - 600),
    "signed in ten minutes": lambda genuine: genuine.changed(timestamp=time.time() + 600),
    "with another body": lambda genuine: genuine.changed(sent=genuine.body + b" "),
}


@pytest.mark.parametrize("how", FORGERIES)
async def test_a_forgery_changes_nothing(workbench: Workbench, url: str, how: str) -> None:
    asked = await workbench.ask(_LONG_PREDICTION)
    before = await workbench.until_started(asked)

    status = await FORGERIES[how](webhook_about(before)).post(url)

    assert status == 401
    await check_unchanged(workbench, before)


@pytest.mark.parametrize("without", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_a_webhook_without_one_of_its_headers_changes_nothing(
    workbench: Workbench, url: str, without: str
) -> None:
    asked = await workbench.ask(_LONG_PREDICTION)
    before = await workbench.until_started(asked)

    assert await webhook_about(before).post(url, without=without) == 401
    await check_unchanged(workbench, before)


@pytest.mark.parametrize("secret", [NEW_SECRET, OLD_SECRET])
async def test_both_secrets_work_while_one_is_being_replaced(workbench: Workbench, url: str, secret: str) -> None:
    asked = await workbench.ask(_LONG_PREDICTION)
    started = await workbench.until_started(asked)
    end_prediction(workbench, started)

    assert await webhook_about(started).changed(secret=secret).post(url) == 204

    assert (await workbench.until_ended(asked, is_hurried=False)).status == "completed"


async def test_a_replayed_webhook_changes_nothing(workbench: Workbench, url: str) -> None:
    asked = await workbench.ask("simulator/image")
    ended = await workbench.until_ended(asked, is_hurried=False)
    webhook = webhook_about(ended)

    statuses = [await webhook.post(url) for _ in range(3)]

    assert statuses == [204, 204, 204]
    await check_unchanged(workbench, ended)
    assert len(await workbench.charges(asked)) == 1


async def test_a_webhook_for_something_else_changes_nothing(workbench: Workbench, url: str) -> None:
    """All are correctly signed: a vendor has mixed something up, or somebody has intercepted another webhook."""
    other = await workbench.until_started(await workbench.ask(_LONG_PREDICTION))
    before = await workbench.until_started(await workbench.ask(_LONG_PREDICTION))
    genuine = webhook_about(before)
    content, attempt, nonce = genuine.path.split("/")[-3:]
    root = genuine.path.removesuffix(f"{content}/{attempt}/{nonce}")
    mixed_up = [
        genuine.changed(path=f"{root}{content}/{attempt}/{other.webhook_nonce}"),
        genuine.changed(path=f"{root}{content}/1/{nonce}"),
        genuine.changed(path=f"{root}{uuid.uuid4()}/{attempt}/{nonce}"),
        webhook_about(before, id="nobody0knows0this0prediction"),
        webhook_about(before, id=other.prediction_id),
    ]

    statuses = [await webhook.post(url) for webhook in mixed_up]

    assert statuses == [204] * len(mixed_up)
    await check_unchanged(workbench, before)
    await check_unchanged(workbench, other)


async def test_a_prediction_of_another_content_is_not_assigned_to_a_lost_start(workbench: Workbench, url: str) -> None:
    other = await workbench.until_started(await workbench.ask(_LONG_PREDICTION))
    asked = await workbench.ask("simulator/image--create-accept-then-timeout--slow-1000--webhook-lost")
    await workbench.until_requested(asked)
    before = await workbench.row(asked)

    assert await webhook_about(before, id=other.prediction_id).post(url) == 204

    await check_unchanged(workbench, before)


@pytest.mark.parametrize(
    "lie",
    [{"status": "succeeded"}, {"status": "failed", "error": "NSFW"}, {"status": "succeeded", "output": None}],
)
async def test_the_status_in_a_webhook_is_not_believed(workbench: Workbench, url: str, lie: dict[str, str]) -> None:
    asked = await workbench.ask(_LONG_PREDICTION)
    started = await workbench.until_started(asked)

    assert await webhook_about(started, **lie).post(url) == 204

    # The worker has polled the vendor, which says that it still runs: the next poll is due some seconds later.
    looked = await workbench.until(asked, lambda row: now() < row.due_at < started.due_at)
    assert (looked.status, looked.outcome, looked.output_url) == ("processing", None, None)
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 1

    end_prediction(workbench, started)
    assert await webhook_about(looked, **lie).post(url) == 204
    assert (await workbench.until_ended(asked, is_hurried=False)).status == "completed"
    assert len(await workbench.charges(asked)) == 1


def end_prediction(workbench: Workbench, content: Generation) -> None:
    """Have the vendor end a long prediction successfully, now."""
    url = f"{workbench.vendors.replicate_url}/v1/predictions/{content.prediction_id}/cancel"
    ended = httpx.post(url, headers={"Authorization": "Bearer tests"}).raise_for_status()
    assert ended.json()["status"] == "succeeded"


def outcomes_of(workbench: Workbench, row: Generation) -> list[object]:
    """The statuses of the server's responses to the vendor's webhooks about a content."""
    webhooks = workbench.vendors.log("webhook")
    return [entry.get("outcome") for entry in webhooks if entry["prediction_id"] == row.prediction_id]


async def check_unchanged(workbench: Workbench, before: Generation) -> None:
    """Check that the row has not changed, `due_at` included: the webhook has not even caused a poll."""
    names = before.__table__.columns.keys()
    after = await workbench.row(str(before.id))
    assert {name: getattr(after, name) for name in names} == {name: getattr(before, name) for name in names}


ATTEMPTS = ["0", "-1", "2147483648", "99999999999999999999", "x", "%00", "1e3", "%D9%A1"]
SOME_ID = "3f86c5c0-14f8-4e62-9031-98b3fbaa2eee"
NONCES = ["%00", "%ff", "%ed%a0%80", "a%0Ab", "n" * 5000]
IDS = [r"a\u0000", r"\ud800", "", "p" * 300_000, r"\u00e9", " ", "a b", "../x"]


@pytest.mark.parametrize(
    "path",
    [
        *(f"{SOME_ID}/{attempt}/nonce" for attempt in ATTEMPTS),
        *(f"{SOME_ID}/0/{nonce}" for nonce in NONCES),
        *(f"{content}/0/nonce" for content in ("x", "%00", "%ff", "-" * 36, "0" * 36)),
    ],
)
async def test_a_url_of_any_shape_is_refused_or_means_nothing(url: str, path: str) -> None:
    webhook = Webhook(f"{PATH}/{path}", b'{"id": "p1"}')

    assert [await webhook.post(url), await webhook.changed(secret=FOREIGN_SECRET).post(url)] == [204, 401]


@pytest.mark.parametrize("prediction_id", IDS)
async def test_an_id_of_any_shape_means_nothing(url: str, prediction_id: str) -> None:
    webhook = Webhook(f"{PATH}/{uuid.uuid4()}/0/nonce", b'{"id": "%s"}' % prediction_id.encode())

    assert await webhook.post(url) == 204


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"id": 7}', b"\xff", b"[" * 100_000, b"[" + b"{}," * 200_000 + b"1]"]
)
async def test_a_signed_body_that_is_no_prediction_is_refused(url: str, body: bytes) -> None:
    assert await Webhook(f"{PATH}/{uuid.uuid4()}/0/nonce", body).post(url) == 400
