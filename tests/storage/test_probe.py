"""What a probe finds out about a store, and in which words it says so."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.settings import Settings
from app.core.watch import OK
from app.storage.open import open_store
from app.storage.probe import probe_store
from app.storage.protocol import ObjectStore, StoreError
from app.storage.s3 import PROBE_KEY
from tests.storage import faulty_s3
from tests.storage.faulty_s3 import FaultyS3, Reply, Site
from tests.storage.servers import S3Server


def refusing(status: int, code: str = "") -> FaultyS3:
    """A server that answers every write like this, however often it is tried."""
    return FaultyS3(replies={"put": [Reply(status, code)] * 20})


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[tuple[Site, ObjectStore]]:
    """A misbehaving server, and a store over it."""
    site = Site()
    async with faulty_s3.serving(site) as url:
        keys = {"s3_bucket": "bucket", "s3_access_key_id": "id", "s3_secret_access_key": "secret"}
        store = open_store(Settings.model_validate({"storage": "s3", "s3_endpoint_url": url, **keys}))
        yield site, store
        await store.close()


async def found(settings: Settings) -> tuple[str, str]:
    """State and reason that a probe finds."""
    store = open_store(settings)
    try:
        finding = await probe_store(store)
    finally:
        await store.close()
    return finding.state, finding.reason


async def test_a_store_that_works_is_ok_and_keeps_one_object_for_all_probes(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    store = open_store(s3_server.settings(bucket))

    assert [await probe_store(store) for _ in range(2)] == [OK, OK]
    await store.close()
    listed = s3_server.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == [PROBE_KEY]


async def test_no_object_can_have_the_key_of_the_probe(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="Not the path of an object"):
        await store.delete(PROBE_KEY)


@pytest.mark.parametrize("name", ["s3_secret_access_key", "s3_access_key_id"])
async def test_wrong_keys_are_named_and_not_shown(s3_server: S3Server, name: str) -> None:
    wrong: dict[str, Any] = {name: "geheim"}

    state, reason = await found(s3_server.settings(s3_server.new_bucket(), **wrong))

    assert state == "refused"
    assert "refuses S3_ACCESS_KEY_ID or S3_SECRET_ACCESS_KEY: " in reason
    assert s3_server.url.removeprefix("http://") in reason
    assert "geheim" not in reason


async def test_a_missing_bucket_is_named_by_its_setting(s3_server: S3Server) -> None:
    state, reason = await found(s3_server.settings("no-such-bucket"))

    assert state == "bucket_missing"
    assert "has no bucket S3_BUCKET: NoSuchBucket" in reason


async def test_a_store_that_cannot_be_reached_is_named_by_its_address(s3_server: S3Server) -> None:
    with socket.socket() as closed:  # the port is bound, so that nobody else gets it, but nothing listens on it
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        state, reason = await found(s3_server.settings("bucket", s3_endpoint_url=f"http://{address}"))

    assert state == "unavailable"
    assert f"{address} (S3_ENDPOINT_URL)" in reason


@pytest.mark.parametrize(
    ("server", "state"),
    [
        (FaultyS3(refused="put"), "refused"),
        (FaultyS3(refused="get"), "refused"),  # nothing is worth buying that could not be read back
        (FaultyS3(content=b"something else"), "unavailable"),
        (refusing(507, "XMinioStorageFull"), "full"),
        (refusing(507), "full"),
        (refusing(403, "QuotaExceeded"), "full"),
        (refusing(500, "InternalError"), "unavailable"),
        (FaultyS3(page="<html>Welcome</html>"), "unavailable"),
        (FaultyS3(content=b"junis"), "ok"),
    ],
    ids=["no write", "no read", "other bytes", "MinIO full", "507", "quota", "500", "no S3", "works"],
)
async def test_the_store_must_accept_a_write_and_return_it(
    site: tuple[Site, ObjectStore], server: FaultyS3, state: str
) -> None:
    site[0].server = server

    assert (await probe_store(site[1])).state == state


def test_a_client_does_not_learn_what_the_operator_does() -> None:
    error = StoreError("The store at 10.0.0.7:8333 refuses S3_ACCESS_KEY_ID")

    assert str(error) == "The store at 10.0.0.7:8333 refuses S3_ACCESS_KEY_ID"
    assert error.body()["error"]["message"] == "The object store is temporarily unavailable"
    assert int(error.headers()["Retry-After"]) > 0
