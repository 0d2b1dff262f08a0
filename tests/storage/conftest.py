import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from app.core.settings import Settings
from app.storage.local import LocalStore, open_local_store
from app.storage.open import open_store
from app.storage.protocol import ObjectStore
from tests.storage import rclone

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True)
class S3Server:
    """A running server, the folder of its buckets, and a client with which tests can inspect them."""

    url: str
    folder: Path
    client: "S3Client"

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    def settings(self, bucket: str, **changes: Any) -> Settings:
        """The settings of a store over a bucket of this server, with these changes."""
        settings = {
            "storage": "s3",
            "s3_endpoint_url": self.url,
            "s3_region": "us-east-1",
            "s3_bucket": bucket,
            "s3_access_key_id": rclone.ACCESS_KEY_ID,
            "s3_secret_access_key": rclone.SECRET_ACCESS_KEY,
            "s3_public_base_url": None,
            "s3_presign_endpoint_url": None,
        }
        return Settings.model_validate(settings | changes)


@dataclass(frozen=True)
class StoreUnderTest:
    """A store under test, and the folder in which its bytes are kept."""

    store: ObjectStore
    folder: Path

    def files(self) -> list[Path]:
        """Every file in the folder, including temporary ones."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def paths(self) -> list[str]:
        """The paths of the objects in the folder."""
        relative = (path.relative_to(self.folder).as_posix() for path in self.files())
        return sorted(path for path in relative if not path.startswith("."))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("buckets")
    with rclone.serving(folder, tmp_path_factory.mktemp("logs") / "rclone.log") as url:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=rclone.ACCESS_KEY_ID,
            aws_secret_access_key=rclone.SECRET_ACCESS_KEY,
        )
        yield S3Server(url, folder, client)
        client.close()


# A store over S3 takes a quarter of a second to open, so the tests that need no settings of their own share one.
@pytest.fixture(scope="session")
async def s3_under_test(s3_server: S3Server) -> AsyncIterator[StoreUnderTest]:
    bucket = s3_server.new_bucket()
    store = open_store(s3_server.settings(bucket))
    yield StoreUnderTest(store, s3_server.folder / bucket)
    await store.close()


@pytest.fixture(scope="session")
async def local_under_test(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoreUnderTest]:
    folder = tmp_path_factory.mktemp("objects")
    store = open_store(Settings.model_validate({"storage": "local", "local_storage_dir": folder}))
    yield StoreUnderTest(store, folder)
    await store.close()


@pytest.fixture(params=["local", "s3"])
async def under_test(
    request: pytest.FixtureRequest, local_under_test: StoreUnderTest, s3_under_test: StoreUnderTest
) -> AsyncIterator[StoreUnderTest]:
    """Each of the two stores in turn, empty."""
    under_test = local_under_test if request.param == "local" else s3_under_test
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
