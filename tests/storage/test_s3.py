import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.core.settings import Settings
from app.storage.open import open_store
from app.storage.protocol import ByteRange, ObjectMissingError, ObjectStore, StoreError
from tests.storage.bytestreams import MB, in_chunks, noise, read, write
from tests.storage.servers import S3Server
from tests.waiting import PATIENCE

PATH = "generation/image/550e8400_20251206_103000.png"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[ObjectStore]:
    store = open_store(settings)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("size", [100, 9 * MB], ids=["one request", "multipart"])
async def test_the_media_type_is_kept_with_the_object(s3_server: S3Server, size: int) -> None:
    bucket = s3_server.new_bucket()
    async with opened(s3_server.settings(bucket)) as store:
        await store.write(PATH, in_chunks(noise(size)), media_type="image/png")

    assert s3_server.client.head_object(Bucket=bucket, Key=PATH)["ContentType"] == "image/png"


async def test_an_interrupted_multipart_upload_is_aborted(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    pending: list[int] = []

    async def failing() -> AsyncIterator[bytes]:
        yield noise(17 * MB)
        pending.append(len(s3_server.client.list_multipart_uploads(Bucket=bucket)["Uploads"]))
        raise TimeoutError

    async with opened(s3_server.settings(bucket)) as store:
        with pytest.raises(TimeoutError):
            await store.write(PATH, failing(), media_type="video/mp4")

    assert pending == [1]
    assert s3_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads") is None


async def test_a_wrong_secret_is_a_store_error_that_does_not_show_it(s3_server: S3Server) -> None:
    settings = s3_server.settings(s3_server.new_bucket(), s3_secret_access_key="wrong-secret")
    async with opened(settings) as store:
        with pytest.raises(StoreError, match="SignatureDoesNotMatch") as writing:
            await write(store, PATH, b"content")
        with pytest.raises(StoreError, match="SignatureDoesNotMatch") as uploading:
            await write(store, PATH, noise(9 * MB))
        with pytest.raises(StoreError, match="SignatureDoesNotMatch") as reading:
            await read(store, PATH)

    for refusal in (writing, uploading, reading):
        assert not isinstance(refusal.value, ObjectMissingError)
        assert "wrong-secret" not in f"{refusal.value!r} {refusal.value.body()} {refusal.value.__cause__!r}"


async def test_a_missing_bucket_is_a_store_error_and_not_a_missing_object(s3_server: S3Server) -> None:
    async with opened(s3_server.settings("no-such-bucket")) as store:
        with pytest.raises(StoreError, match="NoSuchBucket"):
            await write(store, PATH, b"content")
        with pytest.raises(StoreError, match="NoSuchBucket"):
            await read(store, PATH)


async def test_a_server_that_is_away_is_a_store_error(s3_server: S3Server) -> None:
    with socket.socket() as closed:  # the port is bound, so that nobody else gets it, but nothing listens on it
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with opened(s3_server.settings("bucket", s3_endpoint_url=url)) as store:
            with pytest.raises(StoreError, match="EndpointConnectionError") as refusal:
                await write(store, PATH, b"content")

    assert refusal.value.status == 503
    assert refusal.value.retryable


async def test_the_public_url_is_quoted(s3_server: S3Server) -> None:
    settings = s3_server.settings("bucket", s3_public_base_url="https://cdn.example.com/media/")
    async with opened(settings) as store:
        assert store.public_url("image/a b+ä?.png") == "https://cdn.example.com/media/image/a%20b%2B%C3%A4%3F.png"


async def test_without_the_settings_for_urls_the_store_has_none(s3_server: S3Server) -> None:
    async with opened(s3_server.settings("bucket")) as store:
        assert store.public_url(PATH) is None
        assert await store.presigned_url(PATH, filename="a.png") is None


async def test_a_presigned_url_uses_the_endpoint_for_clients(s3_server: S3Server) -> None:
    settings = s3_server.settings("bucket", s3_presign_endpoint_url="https://s3.example.com")
    async with opened(settings) as store:
        url = httpx.URL(await store.presigned_url(PATH, filename="a.png") or "")

    assert (url.scheme, url.host, url.path) == ("https", "s3.example.com", f"/bucket/{PATH}")
    assert url.params["X-Amz-Expires"] == "300"


async def test_anybody_can_read_the_object_with_a_presigned_url(s3_server: S3Server) -> None:
    path, content = "image/ä b+c.png", noise(MB)
    settings = s3_server.settings(s3_server.new_bucket(), s3_presign_endpoint_url=s3_server.url)
    async with opened(settings) as store, httpx.AsyncClient(timeout=PATIENCE) as anybody:
        await write(store, path, content)
        url = await store.presigned_url(path, filename='Grüße "1".png') or ""

        response = await anybody.get(url)
        changed = await anybody.get(url.replace("X-Amz-Expires=300", "X-Amz-Expires=900"))

    assert response.content == content
    disposition = httpx.URL(url).params["response-content-disposition"]
    assert disposition == "attachment; filename=\"Gr__e _1_.png\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.png"
    assert changed.status_code == 403


async def test_only_the_range_of_a_large_object_is_read(s3_server: S3Server) -> None:
    content = noise(9 * MB)
    async with opened(s3_server.settings(s3_server.new_bucket())) as store:
        await write(store, PATH, content)

        assert await read(store, PATH, ByteRange(8 * MB - 5, 8 * MB + 5)) == content[8 * MB - 5 : 8 * MB + 6]
