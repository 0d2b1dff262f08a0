"""Servers that know only what S3 has always had, and keys that may do only what the product needs."""

import asyncio

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from app.storage.protocol import ByteRange, ObjectMissingError, ObjectStore, StoreError
from tests.storage import strict_front
from tests.storage.bytestreams import MB, in_chunks, noise, read, stored, write
from tests.storage.keys import OWNER, UNLISTING
from tests.storage.opening import opened
from tests.storage.servers import DOMAIN, S3Server

SMALL, LARGE = "generation/image/550e8400.png", "generation/video/550e8400.mp4"


async def use(store: ObjectStore) -> None:
    """Whatever the product does with a store."""
    await write(store, SMALL, noise(MB))
    await write(store, "generation/empty", b"")
    await store.write(LARGE, in_chunks(noise(9 * MB), 999_983), media_type="video/mp4")
    assert await store.verify(SMALL) == stored(noise(MB))
    assert await store.verify(LARGE) == stored(noise(9 * MB))
    assert await read(store, LARGE, ByteRange(8 * MB - 5, 8 * MB + 5)) == noise(9 * MB)[8 * MB - 5 : 8 * MB + 6]
    for path in (SMALL, LARGE, "generation/empty", "generation/missing"):
        await store.delete(path)


@pytest.mark.parametrize("style", ["path", "virtual"])
async def test_nothing_is_sent_that_only_newer_servers_know(s3_server: S3Server, style: str) -> None:
    is_path = style == "path"
    async with strict_front.before(s3_server.url if is_path else s3_server.virtual_url) as (front, port):
        settings = (
            s3_server.settings(s3_server.new_bucket(), s3_endpoint_url=f"http://localhost:{port}")
            if is_path
            else s3_server.virtual_settings(s3_endpoint_url=f"http://{DOMAIN}:{port}")
        )
        async with opened(settings) as store:
            await use(store)

    assert len(front.requests) >= 10
    assert all(request.headers["x-amz-content-sha256"].isalnum() for request in front.requests)
    assert {request.path.split("/")[1] for request in front.requests} == {
        settings.s3_bucket if is_path else "generation"
    }


async def test_the_proxy_of_these_tests_refuses_a_client_with_default_settings(s3_server: S3Server) -> None:
    async with strict_front.before(s3_server.url) as (_, port):
        client = boto3.client(
            "s3",
            endpoint_url=f"http://localhost:{port}",
            region_name="us-east-1",
            aws_access_key_id=OWNER.access_key_id,
            aws_secret_access_key=OWNER.secret_access_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ClientError, match="NotImplemented"):
            await asyncio.to_thread(client.put_object, Bucket="bucket", Key=SMALL, Body=b"content")
        client.close()


async def test_a_key_that_may_not_list_is_enough(seaweedfs_s3: S3Server) -> None:
    """The server itself refuses lists with this key."""
    bucket = seaweedfs_s3.new_bucket()
    settings = seaweedfs_s3.settings(bucket, keys=UNLISTING)
    listing = boto3.client(
        "s3",
        endpoint_url=seaweedfs_s3.url,
        region_name="us-east-1",
        aws_access_key_id=UNLISTING.access_key_id,
        aws_secret_access_key=UNLISTING.secret_access_key,
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        listing.list_objects_v2(Bucket=bucket)
    listing.close()

    async with opened(settings) as store:
        await use(store)


async def test_a_key_that_cannot_see_that_an_object_is_missing_is_enough(s3_server: S3Server) -> None:
    async with strict_front.before(s3_server.url, hides_missing=True) as (_, port):
        url = f"http://localhost:{port}"
        async with opened(s3_server.settings(s3_server.new_bucket(), s3_endpoint_url=url)) as store:
            await use(store)

            with pytest.raises(StoreError, match="AccessDenied") as refusal:
                await read(store, SMALL)

    # It may be that the key is refused: what the store does not say must not be taken for granted.
    assert not isinstance(refusal.value, ObjectMissingError)
