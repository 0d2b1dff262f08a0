"""The object store: whether it keeps, returns and removes a file, and whether clients get it from where we say."""

import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, failed, ok, warning, worst
from app.core.networks import shown_url
from app.storage.local import LEAST_FREE_BYTES
from app.storage.protocol import PROBE, ObjectStore, StoreError, StoreFault

_MEND = {
    StoreFault.UNAVAILABLE: "start the store, or correct S3_ENDPOINT_URL and S3_REGION",
    StoreFault.REFUSED: "correct the keys or S3_REGION, and allow s3:PutObject, s3:GetObject and s3:DeleteObject",
    StoreFault.BUCKET_MISSING: "create the bucket, or correct S3_BUCKET",
    StoreFault.NOT_WRITABLE: "give the folder of LOCAL_STORAGE_DIR to the server's user",
    StoreFault.FULL: "free or add space",
}
_LITTLE_FREE_BYTES = 1024**3


async def check_store(place: Place) -> Result:
    """Whether it accepts a file, returns it and removes it, for us and at its public addresses."""
    store, path = place.resources.store, f"generation/other/doctor_{secrets.token_hex(8)}.txt"
    try:
        await store.write(path, _bytes(), media_type="text/plain")
        stored = b"".join([piece async for piece in store.read(path)])
    except StoreError as error:
        return _failed(place, error)
    try:
        found = [await _public(place, store, path), await _presigned(place, store, path)]
    finally:
        removal = await _remove(store, path)
    if stored != PROBE:
        return failed("it returns other bytes than were written", "use another store")
    return worst(*(result for result in [*found, removal] if result)) if any(found) or removal else ok(_about(place))


async def _bytes() -> AsyncIterator[bytes]:
    yield PROBE


def _about(place: Place) -> str:
    settings = place.settings
    where = (
        f"the bucket {settings.s3_bucket}" if settings.storage == "s3" else f"the folder {settings.local_storage_dir}"
    )
    return f"{where} keeps, returns and removes a file"


def _failed(place: Place, error: StoreError) -> Result:
    mend = _MEND[error.fault]
    if place.settings.storage == "local" and error.fault is StoreFault.UNAVAILABLE:
        mend = "see what is wrong with the disk of LOCAL_STORAGE_DIR"
    return failed(str(error), mend)


async def _remove(store: ObjectStore, path: str) -> Result | None:
    try:
        await store.delete(path)
    except StoreError as error:
        return failed(f"it keeps a file but does not remove it: {error}", "allow s3:DeleteObject")
    return None


async def _public(place: Place, store: ObjectStore, path: str) -> Result | None:
    url = store.public_url(path)
    if url is None or (problem := await _problem_at(place, url)) is None:
        return None
    mend = "correct S3_PUBLIC_BASE_URL, let anybody read the bucket, or unset it"
    return failed(f"S3_PUBLIC_BASE_URL does not lead to its files: {problem}", mend)


async def _presigned(place: Place, store: ObjectStore, path: str) -> Result | None:
    url = await store.presigned_url(path, filename="doctor.txt")
    if url is None or (problem := await _problem_at(place, url)) is None:
        return None
    mend = "correct S3_PRESIGN_ENDPOINT_URL: the store must see the host name that clients use; or unset it"
    return failed(f"S3_PRESIGN_ENDPOINT_URL does not lead to its files: {problem}", mend)


async def _problem_at(place: Place, url: str) -> str | None:
    """What is wrong with the file at a URL; None if it is the one that was written."""
    try:
        async with place.ask("GET", url) as response:
            body = await response.content.read(len(PROBE) + 1)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"{shown_url(url)} cannot be reached: {type(error).__name__}"
    if response.status != 200:
        return f"status {response.status} at {shown_url(url)}"
    return None if body == PROBE else f"another file at {shown_url(url)}"


async def check_disk(place: Place) -> Result:
    """Whether the disk of a folder has room for outputs."""
    folder = place.settings.local_storage_dir.resolve()
    if place.settings.storage != "local":
        folder = Path.cwd()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB are free at {existing}"
    if place.settings.storage == "local" and free < LEAST_FREE_BYTES:
        return failed(found, "free or add space: files are refused")
    return warning(found, "free or add space") if free < _LITTLE_FREE_BYTES else ok(found)
