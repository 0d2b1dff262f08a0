"""Two independent S3 servers, each with both ways to name a bucket in a request.

No name must be resolved for virtual-host addressing: the bucket `127` below the domain `0.0.1` has the host 127.0.0.1.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from app.core.settings import AddressingStyle, Settings
from tests.storage import rclone, seaweedfs
from tests.storage.keys import ADMIN, OWNER, Keys

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET, DOMAIN = "127", "0.0.1"


@dataclass(frozen=True)
class S3Server:
    """A running server, its address for each addressing style, and clients with which tests can inspect it."""

    name: str
    url: str  # for path-style requests
    virtual_url: str  # for virtual-host requests to BUCKET
    client: "S3Client"
    virtual_client: "S3Client"  # addresses BUCKET by its host

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    def buckets(self) -> list[str]:
        """The names of all buckets."""
        return sorted(bucket["Name"] for bucket in self.client.list_buckets()["Buckets"])

    def settings(self, bucket: str, *, keys: Keys = OWNER, **changes: Any) -> Settings:
        """The settings of a store over a bucket of this server, path-style, with these changes."""
        return Settings.model_validate(
            {
                "storage": "s3",
                "s3_endpoint_url": self.url,
                "s3_region": "us-east-1",
                "s3_bucket": bucket,
                "s3_access_key_id": keys.access_key_id,
                "s3_secret_access_key": keys.secret_access_key,
                "s3_public_base_url": None,
                "s3_presign_endpoint_url": None,
            }
            | changes
        )

    def virtual_settings(self, **changes: Any) -> Settings:
        """The settings of a store over BUCKET, addressed by its host, with these changes."""
        style = {"s3_endpoint_url": self.virtual_url, "s3_addressing_style": "virtual"}
        return self.settings(BUCKET, **(style | changes))


def paths(client: "S3Client", bucket: str) -> list[str]:
    """The paths of the objects in a bucket."""
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def pending(client: "S3Client", bucket: str) -> list[str]:
    """The paths for which there is a multipart upload that has neither been completed nor aborted."""
    try:
        return [found["Key"] for found in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchUpload":  # rclone's response if there has never been one
            return []
        raise


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """`rclone serve s3`, one process for each addressing style over the same buckets."""
    buckets = folder / "buckets"
    (buckets / BUCKET).mkdir(parents=True)
    with (
        rclone.serving(buckets, folder / "path.log") as url,
        rclone.serving(buckets, folder / "virtual.log", is_virtual_host=True) as virtual_url,
        _opened("rclone", url, urlsplit(virtual_url).port, OWNER) as server,
    ):
        yield server


@contextmanager
def seaweedfs_server(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS, which takes each request whose host is below DOMAIN for one of the virtual-host style."""
    data = folder / "data"
    data.mkdir(parents=True)
    with (
        seaweedfs.serving(data, folder / "weed.log", public_bucket=BUCKET, domain=DOMAIN) as port,
        _opened("seaweedfs", f"http://localhost:{port}", port, ADMIN) as server,
    ):
        server.client.create_bucket(Bucket=BUCKET)
        yield server


@contextmanager
def _opened(name: str, url: str, virtual_port: int | None, keys: Keys) -> Iterator[S3Server]:
    virtual_url = f"http://{DOMAIN}:{virtual_port}"
    with _client(url, keys, "path") as client, _client(virtual_url, keys, "virtual") as virtual_client:
        yield S3Server(name, url, virtual_url, client, virtual_client)


@contextmanager
def _client(url: str, keys: Keys, style: AddressingStyle) -> Iterator["S3Client"]:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        config=Config(s3={"addressing_style": style}),
    )
    try:
        yield client
    finally:
        client.close()
