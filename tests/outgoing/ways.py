"""The ways in which this server asks others. Each asks a server at an origin, by the client that the product opens."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from app.chat_models.client import open_chat_model_client
from app.chat_models.protocol import ChatModelClient, Upstream
from app.core.errors import AppError
from app.core.outgoing import Outgoing
from app.core.settings import Settings
from app.predictions.open import open_prediction_client
from app.predictions.protocol import PredictionClient, PredictionUnavailableError
from app.storage.open import open_store
from app.storage.protocol import StoreError
from tests.chat_models.taking import written
from tests.storage.keys import OWNER
from worker.transfer.downloads import Downloader, DownloadInterruptedError, open_download_session

# What a way raises if its server cannot be asked.
FAILURES = (AppError, PredictionUnavailableError, DownloadInterruptedError, StoreError)
BUCKET = "127"
TOKEN = "of-the-tests"
_SECONDS = 20

# Asks the server at an origin, such as `http://host:1`, and raises an error if the answer is not the right one.
Way = Callable[[str, Outgoing], Awaitable[None]]


async def ask_model(origin: str, outgoing: Outgoing) -> None:
    """Call a chat model of the simulator."""
    client = open_chat_model_client(outgoing)
    try:
        await call_model(client, origin)
    finally:
        await client.close()


async def call_model(client: ChatModelClient, origin: str) -> None:
    """Call a chat model of the simulator with this client."""
    body = {"model": "sim-chat", "messages": [{"role": "user", "content": "count to 3"}]}
    (chunk,) = await client.complete(Upstream(f"{origin}/openai/v1", TOKEN), body, timeout=_SECONDS)
    assert written(chunk)["choices"][0]["delta"]["content"] == "1 2 3"


async def ask_replicate(origin: str, outgoing: Outgoing) -> None:
    """List the predictions of the simulator."""
    client = open_prediction_client(Settings.model_validate(replicate_settings(origin)), outgoing)
    try:
        await list_predictions(client)
    finally:
        await client.close()


async def list_predictions(client: PredictionClient) -> None:
    """List the predictions of the simulator with this client."""
    assert [prediction async for prediction in client.recent(datetime.now(UTC))] == []


async def download(origin: str, outgoing: Outgoing, *, url: str | None = None) -> None:
    """Fetch a file of the simulator's, or the one at this URL. Only the host of the origin is allowed."""
    async with open_download_session(outgoing) as session:
        downloader = Downloader(session, frozenset({urlsplit(origin).netloc}), 10_000, outgoing)
        await fetch(downloader, url or f"{origin}/_sim/health")


async def fetch(downloader: Downloader, url: str) -> None:
    """Fetch a file with this downloader."""
    async with aclosing(downloader.fetch(url)) as chunks:
        assert b"".join([chunk async for chunk in chunks])


async def use_store(origin: str, outgoing: Outgoing) -> None:
    """Write to a bucket and read from it."""
    store = open_store(Settings.model_validate(store_settings(origin)), outgoing)
    try:
        await store.probe()
    finally:
        await store.close()


def replicate_settings(origin: str) -> dict[str, str]:
    """The settings for Replicate at the simulator."""
    return {"replicate_base_url": f"{origin}/replicate", "replicate_api_token": TOKEN}


def store_settings(origin: str) -> dict[str, str]:
    """The settings for a bucket of the server at this origin."""
    return {
        "storage": "s3",
        "s3_endpoint_url": origin,
        "s3_bucket": BUCKET,
        "s3_access_key_id": OWNER.access_key_id,
        "s3_secret_access_key": OWNER.secret_access_key,
    }


WAYS: Mapping[str, Way] = {"models": ask_model, "Replicate": ask_replicate, "downloads": download, "S3": use_store}
