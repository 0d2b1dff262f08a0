"""How much a worker's memory grows when it copies one very large output, and how fast it is beside boto3's own upload.

What boto3 uploads is a local file. The worker fetches its bytes over HTTP, hashes them twice, and reads them back.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import boto3

from bench.figures import Figure, peak_megabytes, report
from bench.generations import UNLIMITED, WORKER, ask, check_none_failed, open_organizations, wait_until
from chaos.plant import Plant, running_plant
from tests.storage.rclone import ACCESS_KEY_ID, SECRET_ACCESS_KEY, serving

MOST_MEGABYTES = 64
# Of the throughput of boto3's own upload.
LEAST_RATIO = 0.8

_BUCKET = "bench"
# Large enough that everything a copy needs gets loaded: several parts of a multipart upload.
_WARMING_MEGABYTES = 40
_MEGABYTE = 1_000_000


def main() -> int:
    """Measure, print each figure, and say whether all keep their requirements."""
    parser = argparse.ArgumentParser(prog="python -m bench.copy", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2000, help="size of the output (2000)")
    parser.add_argument("--store", choices=sorted(_STORES), action="append", help="only this one")
    arguments = parser.parse_args()
    missed = 0
    for name in arguments.store or sorted(_STORES):
        with (
            tempfile.TemporaryDirectory() as folder,
            _STORES[name](Path(folder)) as settings,
            running_plant(Path(folder), settings=UNLIMITED | settings) as plant,
        ):
            missed += asyncio.run(report(measure(plant, name, arguments.megabytes, settings, Path(folder))))
    return min(1, missed)


async def measure(
    plant: Plant, store: str, megabytes: int, settings: Mapping[str, str], folder: Path
) -> AsyncIterator[Figure]:
    """Copy a smaller output, then the large one. If the store is S3, have boto3 upload a file of the same size."""
    warming, large = f"simulator/image--big-{_WARMING_MEGABYTES}", f"simulator/image--big-{megabytes}"
    async with open_organizations(plant, warming, large, count=1, concurrent_generations=1) as (resources, asking):
        plant.add_worker(WORKER)
        await ask(resources, asking, warming, 1)
        await wait_until(resources, "completed_at IS NOT NULL", 1)
        before = peak_megabytes(plant.pid(WORKER))
        began = monotonic()
        await ask(resources, asking, large, 1)
        await wait_until(resources, "completed_at IS NOT NULL", 2)
        grown = peak_megabytes(plant.pid(WORKER)) - before
        yield Figure(f"copy.{store}_memory_growth", grown, "MB", at_most=MOST_MEGABYTES)
        speed = megabytes / (monotonic() - began)
        yield Figure(f"copy.{store}_speed", speed, "MB/s, written and read back")
        await check_none_failed(resources)
        if "S3_BUCKET" in settings:
            uploaded = megabytes / await asyncio.to_thread(_upload, settings, folder / "local", megabytes)
            yield Figure(f"copy.{store}_upload_file", uploaded, "MB/s, boto3's own upload of a local file")
            yield Figure(f"copy.{store}_ratio", speed / uploaded, "of that", at_least=LEAST_RATIO)


def _upload(settings: Mapping[str, str], file: Path, megabytes: int) -> float:
    """Have boto3 upload a local file of this size. Returns the seconds that the upload takes."""
    piece = os.urandom(_MEGABYTE)
    with file.open("wb") as written:
        for _ in range(megabytes):
            written.write(piece)
    client = boto3.client(
        "s3",
        endpoint_url=settings["S3_ENDPOINT_URL"],
        aws_access_key_id=settings["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    began = monotonic()
    client.upload_file(str(file), settings["S3_BUCKET"], "uploaded")
    return monotonic() - began


@contextmanager
def _local(folder: Path) -> Iterator[dict[str, str]]:
    yield {"STORAGE": "local", "LOCAL_STORAGE_DIR": str(folder / "objects")}


@contextmanager
def _s3(folder: Path) -> Iterator[dict[str, str]]:
    buckets = folder / "buckets"
    (buckets / _BUCKET).mkdir(parents=True)
    with serving(buckets, folder / "s3.log") as url:
        yield {
            "STORAGE": "s3",
            "S3_ENDPOINT_URL": url,
            "S3_BUCKET": _BUCKET,
            "S3_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "S3_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }


_STORES = {"local": _local, "s3": _s3}


if __name__ == "__main__":
    sys.exit(main())
