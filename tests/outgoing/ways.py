"""The ways in which this server asks others. Each asks a server at an origin, by the client that the product opens."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from app.chat_models.client import open_chat_model_client
from app.chat_models.protocol import Upstream
from app.core.errors import AppError
from app.core.outgoing import Outgoing
from app.core.settings import Settings
from app.predictions.open import open_prediction_client
from app.predictions.protocol import PredictionUnavailableError
from app.storage.open import open_store
from app.storage.protocol import StoreError
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
        body = {"model": "sim-chat", "messages": [{"role": "user", "content": "count to 3"}]}
        upstream = Upstream(f"{origin}/openai/v1", TOKEN)
        answer = await client.complete(upstream, body, timeout=_SECONDS)
        assert answer["choices"][0]["message"]["content"] == "1 2 3"
    finally:
        await client.close()


async def ask_replicate(origin: str, outgoing: Outgoing) -> None:
    """List the predictions of the simulator."""
    settings = {"replicate_base_url": f"{origin}/replicate", "replicate_api_token": TOKEN}
    client = open_prediction_client(Settings.model_validate(settings), outgoing)
    try:
        assert [prediction async for prediction in client.recent(datetime.now(UTC))] == []
    finally:
        await client.close()


async def download(origin: str, outgoing: Outgoing) -> None:
    """Fetch a file of the simulator's."""
    async with open_download_session(outgoing) as session:
        downloader = Downloader(session, frozenset({urlsplit(origin).netloc}), 10_000, outgoing)
        async with aclosing(downloader.fetch(f"{origin}/_sim/health")) as chunks:
            assert b"".join([chunk async for chunk in chunks])


async def use_store(origin: str, outgoing: Outgoing) -> None:
    """Write to a bucket and read from it."""
    settings = {
        "storage": "s3",
        "s3_endpoint_url": origin,
        "s3_bucket": BUCKET,
        "s3_access_key_id": OWNER.access_key_id,
        "s3_secret_access_key": OWNER.secret_access_key,
    }
    store = open_store(Settings.model_validate(settings), outgoing)
    try:
        await store.probe()
    finally:
        await store.close()


WAYS: Mapping[str, Way] = {"models": ask_model, "Replicate": ask_replicate, "downloads": download, "S3": use_store}
