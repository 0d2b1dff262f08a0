"""Files in a bucket: streamed by this server, redirected to, or addressed directly if the bucket is public."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import programs
from tests.content.gallery import Picture, generate
from tests.core.sites import new_site
from tests.storage import rclone
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import PATIENCE
from tests.worker.workbench import open_workbench

BUCKET = "generated"
PUBLIC_BASE_URL = "https://cdn.example.com/media"


@dataclass(frozen=True)
class BucketSite:
    """A product whose store is a bucket, the folder behind the bucket, and a picture that the product has generated."""

    url: str
    site: dict[str, str]
    bucket: Path
    picture: Picture
    headers: dict[str, str]


@pytest.fixture(scope="module")
def s3_url(run_folder: Path) -> Iterator[str]:
    (run_folder / "buckets" / BUCKET).mkdir(parents=True)
    with rclone.serving(run_folder / "buckets", run_folder / "rclone.log") as url:
        yield url


@pytest.fixture(scope="module")
async def site(environment: dict[str, str], run_folder: Path, s3_url: str) -> dict[str, str]:
    own = await new_site(environment, run_folder, redis_number=2)
    return own | {
        "STORAGE": "s3",
        "S3_ENDPOINT_URL": s3_url,
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY_ID": rclone.ACCESS_KEY_ID,
        "S3_SECRET_ACCESS_KEY": rclone.SECRET_ACCESS_KEY,
    }


@pytest.fixture(scope="module")
async def private(site: dict[str, str], vendors: VendorsSimulator, run_folder: Path) -> AsyncIterator[BucketSite]:
    """A product over a bucket that only the server may read."""
    with (
        programs.running_api(site, run_folder / "s3-api.log") as url,
        programs.running_worker(site, run_folder / "s3-worker.log"),
    ):
        async with open_workbench(site, vendors) as workbench:
            picture = await generate(workbench, f"{url}/api/external", "simulator/image")
            yield BucketSite(url, site, run_folder / "buckets" / BUCKET, picture, workbench.organization.headers)


@pytest.fixture(scope="module")
def public_url(private: BucketSite, run_folder: Path, s3_url: str) -> Iterator[str]:
    """Another API over the same bucket, which clients may read themselves."""
    settings = private.site | {"S3_PUBLIC_BASE_URL": f"{PUBLIC_BASE_URL}/", "S3_PRESIGN_ENDPOINT_URL": s3_url}
    with programs.running_api(settings, run_folder / "s3-public-api.log") as url:
        yield url


async def test_the_object_is_in_the_bucket_at_its_path(private: BucketSite) -> None:
    # Probes write a file of their own, whose name no object can have.
    objects = [path for path in private.bucket.rglob("*") if path.is_file() and not path.name.startswith(".")]

    assert [str(path.relative_to(private.bucket)) for path in objects] == [private.picture.detail["storage_path"]]
    assert objects[0].read_bytes() == private.picture.delivered


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

    assert shown["storage_url"] == listed["storage_url"] == f"{PUBLIC_BASE_URL}/{detail['storage_path']}"
    assert shown == detail | {"storage_url": shown["storage_url"]}


async def test_clients_are_redirected_to_the_store_if_they_can_reach_it(
    private: BucketSite, public_url: str, browser: httpx.AsyncClient, s3_url: str
) -> None:
    token, name = private.picture.url.split("/")[-2:]

    response = await browser.get(f"{public_url}/files/{token}/{name}")

    assert response.status_code == 307
    assert response.headers["location"].startswith(f"{s3_url}/{BUCKET}/{private.picture.detail['storage_path']}?")
    assert response.headers["cache-control"] == "no-store"
    assert (await browser.get(response.headers["location"])).content == private.picture.delivered
