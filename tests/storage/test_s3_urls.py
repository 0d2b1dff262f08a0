"""The URLs at which clients get objects from the store itself."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.settings import Settings
from tests.storage.bytestreams import MB, noise, write
from tests.storage.opening import opened
from tests.storage.servers import BUCKET, S3Server
from tests.waiting import PATIENCE

PATH = "generation/image/550e8400_20251206_103000.png"
DISPOSITION = "attachment; filename=\"Gr__e _1_.png\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.png"


def presigning(server: S3Server, style: str) -> Settings:
    """The settings of a store whose server clients can reach."""
    if style == "virtual":
        return server.virtual_settings(s3_presign_endpoint_url=server.virtual_url)
    return server.settings(server.new_bucket(), s3_presign_endpoint_url=server.url)


@pytest.mark.parametrize("style", ["path", "virtual"])
async def test_anybody_can_read_the_object_with_a_presigned_url(s3_server: S3Server, style: str) -> None:
    path, content = "image/ä b+c.png", noise(MB)
    async with opened(presigning(s3_server, style)) as store, httpx.AsyncClient(timeout=PATIENCE) as anybody:
        await write(store, path, content)
        url = await store.presigned_url(path, filename='Grüße "1".png') or ""

        response = await anybody.get(url)
        part = await anybody.get(url, headers={"Range": "bytes=8-15"})
        changed = await anybody.get(url.replace("X-Amz-Expires=300", "X-Amz-Expires=900"))
        await store.delete(path)

    assert (response.status_code, response.content) == (200, content)
    assert part.content == content[8:16]
    assert changed.status_code == 403
    assert httpx.URL(url).params["response-content-disposition"] == DISPOSITION


async def test_browsers_save_the_file_of_a_presigned_url_under_its_name(seaweedfs_s3: S3Server) -> None:
    settings = presigning(seaweedfs_s3, "path")
    async with opened(settings) as store, httpx.AsyncClient(timeout=PATIENCE) as anybody:
        await store.write(PATH, _one(b"<html>"), media_type="text/html")

        response = await anybody.get(await store.presigned_url(PATH, filename='Grüße "1".png') or "")

    assert response.headers["content-disposition"] == DISPOSITION
    assert response.headers["content-type"] == "text/html"


@pytest.mark.parametrize(
    ("style", "endpoint", "bucket", "beginning"),
    [
        ("auto", "https://s3.example.com", "bucket", "https://s3.example.com/bucket/"),
        ("path", "https://s3.example.com", "bucket", "https://s3.example.com/bucket/"),
        ("virtual", "https://s3.example.com", "bucket", "https://bucket.s3.example.com/"),
        # No certificate for *.s3.example.com is valid for it.
        ("virtual", "https://s3.example.com", "my.bucket", "https://s3.example.com/my.bucket/"),
        ("auto", "https://example.com/storage/v1/s3", "bucket", "https://example.com/storage/v1/s3/bucket/"),
        ("virtual", "https://example.com/s3", "bucket", "https://bucket.example.com/s3/"),
    ],
)
async def test_a_presigned_url_uses_the_endpoint_for_clients_and_the_addressing_style(
    rclone_s3: S3Server, style: str, endpoint: str, bucket: str, beginning: str
) -> None:
    settings = rclone_s3.settings(bucket, s3_presign_endpoint_url=endpoint, s3_addressing_style=style)
    async with opened(settings) as store:
        url = await store.presigned_url(PATH, filename="a.png") or ""

    assert url.startswith(f"{beginning}{PATH}?")
    assert httpx.URL(url).params["X-Amz-Expires"] == "300"


@pytest.mark.parametrize("style", ["path", "virtual"])
async def test_anybody_can_read_an_object_of_a_public_bucket(seaweedfs_s3: S3Server, style: str) -> None:
    """SeaweedFS is set up so that anybody may read the objects of BUCKET."""
    path = "image/ä b+c.png"
    base = seaweedfs_s3.virtual_url.replace("//", f"//{BUCKET}.")
    if style == "path":
        base = f"{seaweedfs_s3.url}/{BUCKET}"
    settings = seaweedfs_s3.virtual_settings(s3_public_base_url=f"{base}/")
    async with opened(settings) as store, httpx.AsyncClient(timeout=PATIENCE) as anybody:
        await write(store, path, b"content")

        response = await anybody.get(store.public_url(path) or "")
        elsewhere = await anybody.get(f"{seaweedfs_s3.url}/{seaweedfs_s3.new_bucket()}/{path}")
        await store.delete(path)

    assert (response.status_code, response.content) == (200, b"content")
    assert elsewhere.status_code == 403


async def test_the_public_url_is_quoted(rclone_s3: S3Server) -> None:
    settings = rclone_s3.settings("bucket", s3_public_base_url="https://cdn.example.com/media/")
    async with opened(settings) as store:
        assert store.public_url("image/a b+ä?.png") == "https://cdn.example.com/media/image/a%20b%2B%C3%A4%3F.png"


async def test_without_the_settings_for_urls_the_store_has_none(rclone_s3: S3Server) -> None:
    async with opened(rclone_s3.settings("bucket")) as store:
        assert store.public_url(PATH) is None
        assert await store.presigned_url(PATH, filename="a.png") is None


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk
