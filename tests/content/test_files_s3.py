"""Files in a bucket: streamed by this server, redirected to, or addressed directly if the bucket is public.

The product runs over each S3 server, in both addressing styles, once with keys that may not list the bucket.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.core.settings import Settings
from app.storage.s3 import PROBE_KEY
from tests import programs
from tests.content.gallery import Picture, generate
from tests.core.sites import new_site
from tests.storage.keys import UNLISTING
from tests.storage.servers import S3Server, paths, rclone_server, seaweedfs_server
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import PATIENCE
from tests.worker.workbench import open_workbench


@dataclass(frozen=True)
class Bucket:
    """A bucket of a running server, the settings with which the product uses it, and where clients reach it."""

    server: S3Server
    settings: Settings

    @property
    def url(self) -> str:
        """Where the objects of the bucket are."""
        if self.settings.s3_addressing_style == "virtual":
            return self.server.virtual_url.replace("//", f"//{self.settings.s3_bucket}.")
        return f"{self.server.url}/{self.settings.s3_bucket}"

    def environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {
            "STORAGE": "s3",
            "S3_ENDPOINT_URL": self.settings.s3_endpoint_url or "",
            "S3_ADDRESSING_STYLE": self.settings.s3_addressing_style,
            "S3_BUCKET": self.settings.s3_bucket,
            "S3_ACCESS_KEY_ID": self.settings.s3_access_key_id,
            "S3_SECRET_ACCESS_KEY": self.settings.s3_secret_access_key.get_secret_value(),
        }


@dataclass(frozen=True)
class BucketSite:
    """A product whose store is a bucket, and a picture that the product has generated."""

    url: str
    site: dict[str, str]
    bucket: Bucket
    picture: Picture
    headers: dict[str, str]


@pytest.fixture(scope="module", params=["rclone", "seaweedfs"])
def bucket(request: pytest.FixtureRequest, run_folder: Path) -> Iterator[Bucket]:
    if request.param == "rclone":
        with rclone_server(run_folder / "rclone") as server:
            yield Bucket(server, server.settings(server.new_bucket()))
    else:
        with seaweedfs_server(run_folder / "seaweedfs") as server:
            yield Bucket(server, server.virtual_settings(keys=UNLISTING))


@pytest.fixture(scope="module")
async def private(
    bucket: Bucket, environment: dict[str, str], vendors: VendorsSimulator, run_folder: Path
) -> AsyncIterator[BucketSite]:
    """A product that sends clients the files itself."""
    folder = run_folder / bucket.server.name
    site = await new_site(environment, folder, redis_number=2) | bucket.environment()
    with (
        programs.running_api(site, folder / "api.log") as url,
        programs.running_worker(site, folder / "worker.log"),
    ):
        async with open_workbench(site, vendors) as workbench:
            picture = await generate(workbench, f"{url}/api/external", "simulator/image")
            yield BucketSite(url, site, bucket, picture, workbench.organization.headers)


@pytest.fixture(scope="module")
def public_url(private: BucketSite, run_folder: Path) -> Iterator[str]:
    """Another API over the same bucket, which clients may read themselves."""
    settings = private.site | {
        "S3_PUBLIC_BASE_URL": f"{private.bucket.url}/",
        "S3_PRESIGN_ENDPOINT_URL": private.site["S3_ENDPOINT_URL"],
    }
    with programs.running_api(settings, run_folder / private.bucket.server.name / "public-api.log") as url:
        yield url


async def test_the_object_is_in_the_bucket_at_its_path(private: BucketSite) -> None:
    client, name = private.bucket.server.client, private.bucket.settings.s3_bucket
    path = private.picture.detail["storage_path"]

    # Probes write an object of their own, whose name no content's can have.
    assert [found for found in paths(client, name) if found != PROBE_KEY] == [path]
    assert client.get_object(Bucket=name, Key=path)["Body"].read() == private.picture.delivered


async def test_a_file_is_streamed_from_the_bucket(private: BucketSite, browser: httpx.AsyncClient) -> None:
    assert private.picture.url.startswith(f"{private.url}/files/")

    whole = await browser.get(private.picture.url)
    part = await browser.get(private.picture.url, headers={"Range": "bytes=8-15"})

    assert (whole.status_code, whole.content) == (200, private.picture.delivered)
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["content-security-policy"] == "sandbox"
    assert (part.status_code, part.content) == (206, private.picture.delivered[8:16])
    assert part.headers["content-range"] == f"bytes 8-15/{len(private.picture.delivered)}"


async def test_urls_point_to_a_public_bucket(private: BucketSite, public_url: str) -> None:
    detail = private.picture.detail
    async with httpx.AsyncClient(
        base_url=f"{public_url}/api/external", headers=private.headers, timeout=PATIENCE
    ) as client:
        shown = (await client.get(f"/content/{detail['id']}")).json()
        (listed,) = (await client.get("/content")).json()["items"]

    assert shown["storage_url"] == listed["storage_url"] == f"{private.bucket.url}/{detail['storage_path']}"
    assert shown == detail | {"storage_url": shown["storage_url"]}


async def test_clients_are_redirected_to_the_store_if_they_can_reach_it(
    private: BucketSite, public_url: str, browser: httpx.AsyncClient
) -> None:
    token, name = private.picture.url.split("/")[-2:]

    response = await browser.get(f"{public_url}/files/{token}/{name}")

    assert response.status_code == 307
    assert response.headers["location"].startswith(f"{private.bucket.url}/{private.picture.detail['storage_path']}?")
    assert response.headers["cache-control"] == "no-store"
    assert (await browser.get(response.headers["location"])).content == private.picture.delivered


async def test_the_headers_of_a_file_are_known_without_a_redirect(
    private: BucketSite, public_url: str, browser: httpx.AsyncClient
) -> None:
    """A URL that is signed for GET is refused with HEAD."""
    token, name = private.picture.url.split("/")[-2:]

    response = await browser.head(f"{public_url}/files/{token}/{name}")
    redirected = await browser.get(f"{public_url}/files/{token}/{name}")

    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert response.headers["content-length"] == str(len(private.picture.delivered))
    assert (await browser.head(redirected.headers["location"])).status_code == 403


async def test_anybody_gets_a_file_of_a_public_bucket(
    private: BucketSite, public_url: str, browser: httpx.AsyncClient
) -> None:
    """Only SeaweedFS is set up so that anybody may read."""
    async with httpx.AsyncClient(base_url=f"{public_url}/api/external", headers=private.headers) as client:
        shown = (await client.get(f"/content/{private.picture.detail['id']}")).json()

    response = await browser.get(shown["storage_url"])

    if private.bucket.server.name == "seaweedfs":
        assert (response.status_code, response.content) == (200, private.picture.delivered)
    else:
        assert response.is_client_error
