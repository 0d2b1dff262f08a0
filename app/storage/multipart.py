import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from app.storage.chunks import Tally
from app.storage.protocol import Stored, StoreError
from app.storage.s3_errors import code_of
from app.storage.threads import Threads, uninterrupted

if TYPE_CHECKING:  # the stubs are not installed in production
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_NO_UPLOAD = "NoSuchUpload"


class MultipartUpload:
    """One object that is uploaded in parts. While one part is sent, the caller may gather the next, but no more."""

    def __init__(self, client: "S3Client", threads: Threads, *, bucket: str, key: str) -> None:
        self._client = client
        self._threads = threads
        self._bucket = bucket
        self._key = key
        self._id: str | None = None
        self._etags: list[str] = []
        self._sending: asyncio.Future[None] | None = None
        self._tally = Tally()
        # The store did not know the upload when it was to be completed. It has been completed if the client asked again
        # because the first response was lost; otherwise somebody else has aborted it.
        self.is_in_doubt = False

    async def create(self, media_type: str) -> None:
        """Begin the upload."""
        await self._threads.run(self._create, media_type)

    async def send(self, part: bytes) -> None:
        """Wait until the part before this one has been sent, then begin to send this one.

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
        """Let the store discard the parts. It never raises an error: the caller needs the one that led to this call."""
        with suppress(StoreError):
            await self._arrival()
        if self._id is None:
            return
        try:
            await self._threads.run(self._abort, self._id)
        except StoreError as error:
            logger.warning("multipart_not_aborted", extra={"key": self._key, "reason": str(error)})

    async def _arrival(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            await self._threads.result(sending)

    # These run in a thread and store their own results: a caller that is cancelled in the meantime does not get them.

    def _create(self, media_type: str) -> None:
        response = self._client.create_multipart_upload(Bucket=self._bucket, Key=self._key, ContentType=media_type)
        self._id = response["UploadId"]

    def _upload(self, part: bytes) -> None:
        self._tally.add(part)
        response = self._client.upload_part(
            Bucket=self._bucket, Key=self._key, UploadId=self._id or "", PartNumber=len(self._etags) + 1, Body=part
        )
        self._etags.append(response["ETag"])

    def _complete(self) -> None:
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._id or "",
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
                },
            )
        except ClientError as error:
            if code_of(error) != _NO_UPLOAD:
                raise
            self.is_in_doubt = True
        self._id = None

    def _abort(self, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=upload_id)
        except ClientError as error:
            # It has been aborted: by a rule of the bucket, or by a request whose response was lost.
            if code_of(error) != _NO_UPLOAD:
                raise


@asynccontextmanager
async def multipart_upload(
    client: "S3Client", threads: Threads, *, bucket: str, key: str, media_type: str
) -> AsyncIterator[MultipartUpload]:
    """An upload that is completed at the end of the block, and aborted if the block or the completion fails."""
    upload = MultipartUpload(client, threads, bucket=bucket, key=key)
    try:
        await upload.create(media_type)
        yield upload
        await upload.complete()
    except BaseException:  # raised again
        await uninterrupted(asyncio.ensure_future(upload.abort()))
        raise
