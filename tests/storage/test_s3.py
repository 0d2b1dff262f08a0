import socket
from collections.abc import AsyncIterator

import pytest

from app.storage.protocol import ByteRange, ObjectMissingError, StoreError
from tests.storage.bytestreams import MB, in_chunks, noise, read, write
from tests.storage.opening import opened
from tests.storage.servers import S3Server

PATH = "generation/image/550e8400_20251206_103000.png"


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


async def test_only_the_range_of_a_large_object_is_read(s3_server: S3Server) -> None:
    content = noise(9 * MB)
    async with opened(s3_server.settings(s3_server.new_bucket())) as store:
        await write(store, PATH, content)

        assert await read(store, PATH, ByteRange(8 * MB - 5, 8 * MB + 5)) == content[8 * MB - 5 : 8 * MB + 6]
