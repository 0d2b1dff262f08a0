from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.core.settings import Settings
from app.storage.local import LocalStore, open_local_store
from app.storage.open import open_store
from app.storage.protocol import ObjectStore
from app.storage.s3 import PROBE_KEY
from tests.storage import faulty_s3
from tests.storage.faulty_s3 import FaultyS3, Site
from tests.storage.opening import opened
from tests.storage.servers import S3Server, paths, pending, rclone_server, seaweedfs_server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

StoreOver = Callable[[FaultyS3], ObjectStore]

STORES = ["local", "rclone", "rclone virtual", "seaweedfs", "seaweedfs virtual"]


@dataclass(frozen=True)
class StoreUnderTest:
    """A store under test, and what can be seen of it from outside."""

    store: ObjectStore
    paths: Callable[[], list[str]]  # of its objects, sorted
    unfinished: Callable[[], list[str]]  # what has been begun to be written and is no object
    neighbours: Callable[[], list[str]]  # what is beside the store: other folders or buckets

    def files(self) -> list[str]:
        """Whatever the store has written and not removed."""
        return self.paths() + self.unfinished()


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs_server(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(params=["rclone", "seaweedfs"])
def s3_server(request: pytest.FixtureRequest, rclone_s3: S3Server, seaweedfs_s3: S3Server) -> S3Server:
    """Each of the two servers in turn."""
    return rclone_s3 if request.param == "rclone" else seaweedfs_s3


# A store over S3 takes a quarter of a second to open, so the tests that need no settings of their own share these.
@pytest.fixture(scope="session")
async def stores(
    rclone_s3: S3Server, seaweedfs_s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, StoreUnderTest]]:
    stores = {"local": _local(tmp_path_factory.mktemp("objects"))}
    for server in (rclone_s3, seaweedfs_s3):
        bucket = server.new_bucket()
        stores[server.name] = _in_bucket(server, server.client, server.settings(bucket))
        stores[f"{server.name} virtual"] = _in_bucket(server, server.virtual_client, server.virtual_settings())
    async with AsyncExitStack() as stack:
        for under_test in stores.values():
            stack.push_async_callback(under_test.store.close)
        yield stores


def _local(folder: Path) -> StoreUnderTest:
    def found() -> list[str]:
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    return StoreUnderTest(
        open_store(Settings.model_validate({"storage": "local", "local_storage_dir": folder})),
        paths=lambda: [path for path in found() if not path.startswith(".")],
        unfinished=lambda: [path for path in found() if path.startswith(".")],
        neighbours=lambda: sorted(path.name for path in folder.parent.iterdir()),
    )


def _in_bucket(server: S3Server, client: "S3Client", settings: Settings) -> StoreUnderTest:
    return StoreUnderTest(
        open_store(settings),
        # What a probe writes is no object.
        paths=lambda: [path for path in paths(client, settings.s3_bucket) if path != PROBE_KEY],
        unfinished=partial(pending, client, settings.s3_bucket),
        neighbours=server.buckets,
    )


@pytest.fixture(params=STORES)
async def under_test(
    request: pytest.FixtureRequest, stores: dict[str, StoreUnderTest]
) -> AsyncIterator[StoreUnderTest]:
    """Each kind of store in turn, empty."""
    under_test = stores[request.param]
    yield under_test
    for path in under_test.paths():
        await under_test.store.delete(path)


@pytest.fixture
def store(under_test: StoreUnderTest) -> ObjectStore:
    return under_test.store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The store's folder."""
    return tmp_path / "objects"


@pytest.fixture
async def local_store(folder: Path) -> AsyncIterator[LocalStore]:
    store = open_local_store(folder)
    yield store
    await store.close()


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[tuple[Site, ObjectStore]]:
    site = Site()
    async with faulty_s3.serving(site) as url, opened(_settings(url)) as store:
        yield site, store


@pytest.fixture
def store_over(site: tuple[Site, ObjectStore]) -> StoreOver:
    """Start the server and return a store that uses it."""

    def start(server: FaultyS3) -> ObjectStore:
        site[0].server = server
        return site[1]

    return start


@pytest.fixture
async def prefixed() -> AsyncIterator[tuple[FaultyS3, ObjectStore]]:
    """A server, and a store whose endpoint is a path on it."""
    server = FaultyS3()
    async with faulty_s3.serving(Site(server)) as url, opened(_settings(f"{url}/storage/v1/s3")) as store:
        yield server, store


def _settings(endpoint: str) -> Settings:
    settings = {
        "storage": "s3",
        "s3_endpoint_url": endpoint,
        "s3_bucket": "bucket",
        "s3_access_key_id": "id",
        "s3_secret_access_key": "secret",
    }
    return Settings.model_validate(settings)
