import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from app.storage.chunks import Tally
from app.storage.protocol import Stored, StoreError
from app.storage.threads import Threads, uninterrupted

if TYPE_CHECKING:  # the stubs are not installed in production
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


class MultipartUpload:
    """One object on its way in parts. One part is sent while the caller gathers the next, never more."""

    def __init__(self, client: "S3Client", threads: Threads, *, bucket: str, key: str) -> None:
        self._client = client
        self._threads = threads
        self._bucket = bucket
        self._key = key
        self._id: str | None = None
        self._etags: list[str] = []
        self._sending: asyncio.Future[None] | None = None
        self._tally = Tally()

    async def create(self, media_type: str) -> None:
        """Ask the store for the upload's id."""
        await self._threads.run(self._create, media_type)

    async def send(self, part: bytes) -> None:
        """Wait for the part before this one, then begin to send this one.

        Raises:
            StoreError: the part before this one failed.
        """
        await self._arrival()
        self._sending = self._threads.start(self._upload, part)

    async def complete(self) -> None:
        """Wait for the last part and make the object visible.

        Raises:
            StoreError: the last part or the completion failed.
        """
        await self._arrival()
        await self._threads.run(self._complete)

    def stored(self) -> Stored:
        """Size and hash of all parts."""
        return self._tally.stored()

    async def abort(self) -> None:
        """Have the store forget the parts. It never raises: what led here is what the caller must hear of."""
        with suppress(StoreError):
            await self._arrival()
        if self._id is None:
            return
        try:
            await self._threads.run(
                self._client.abort_multipart_upload, Bucket=self._bucket, Key=self._key, UploadId=self._id
            )
        except StoreError as error:
            logger.warning("The parts of %s stay until the bucket's lifecycle rule ends them: %s", self._key, error)

    async def _arrival(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            await self._threads.result(sending)

    # What runs in a thread keeps its result here itself: a caller that was cancelled meanwhile does not see it.

    def _create(self, media_type: str) -> None:
        answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, ContentType=media_type)
        self._id = answer["UploadId"]

    def _upload(self, part: bytes) -> None:
        self._tally.add(part)
        answer = self._client.upload_part(
            Bucket=self._bucket, Key=self._key, UploadId=self._id or "", PartNumber=len(self._etags) + 1, Body=part
        )
        self._etags.append(answer["ETag"])

    def _complete(self) -> None:
        self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._id or "",
            MultipartUpload={
                "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
            },
        )
        self._id = None


@asynccontextmanager
async def multipart_upload(
    client: "S3Client", threads: Threads, *, bucket: str, key: str, media_type: str
) -> AsyncIterator[MultipartUpload]:
    """An upload that is completed at the end of the block, and aborted where the block or the completion fails."""
    upload = MultipartUpload(client, threads, bucket=bucket, key=key)
    try:
        await upload.create(media_type)
        yield upload
        await upload.complete()
    except BaseException:  # raised again
        await uninterrupted(asyncio.ensure_future(upload.abort()))
        raise
