import re
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import ExitStack, aclosing, closing, suppress
from functools import partial
from io import BytesIO
from ssl import SSLContext
from typing import TYPE_CHECKING
from urllib.parse import quote

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from app.core.addresses import http_address_of
from app.core.outgoing import Outgoing
from app.core.settings import AddressingStyle, Settings
from app.storage.chunks import Tally, in_parts, measure, span
from app.storage.multipart import multipart_upload
from app.storage.object_paths import check_path
from app.storage.protocol import PROBE, ByteRange, ObjectMissingError, Stored, StoreError
from app.storage.s3_errors import s3_errors, status_of
from app.storage.s3_session import OutgoingSession
from app.storage.threads import Threads

if TYPE_CHECKING:  # the stubs are not installed in production
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectRequestTypeDef

CHUNK_SIZE = 1024**2
PART_SIZE = 8 * 1024**2
THREADS = 16
PRESIGNED_SECONDS = 300
# No object's path has a segment that begins with a dot.
PROBE_KEY = "generation/.probe"

_ATTEMPTS = 3
_CONNECT_SECONDS = 5
_READ_SECONDS = 60
# A probe is to end soon, also if the store does not respond.
_PROBE_ATTEMPTS = 2
_PROBE_SECONDS = 5


class S3Store:
    """Stores objects in one bucket of S3, or of a server that speaks its API."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        prober: "S3Client",
        sessions: Sequence[OutgoingSession],
        address: str,
        presigner: "S3Client | None" = None,
        public_base_url: str | None = None,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._presigner = presigner
        self._public_base_url = public_base_url
        self._address = address
        self._threads = Threads(THREADS, errors=partial(s3_errors, address))
        self._prober = prober
        self._sessions = sessions
        self._probe_thread = Threads(1, errors=partial(s3_errors, address))

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:
        """See `ObjectStore.write`. An object larger than one part becomes a multipart upload."""
        key = check_path(path)
        async with aclosing(in_parts(chunks, PART_SIZE)) as parts:
            part = await anext(parts, b"")
            if len(part) < PART_SIZE:
                return await self._threads.run(self._put, key, part, media_type)
            async with multipart_upload(
                self._client, self._threads, bucket=self._bucket, key=key, media_type=media_type
            ) as upload:
                while part:
                    await upload.send(part)
                    part = await anext(parts, b"")
            if upload.is_in_doubt:
                await self._require_whole(path, upload.stored())
            return upload.stored()

    async def _require_whole(self, path: str, sent: Stored) -> None:
        with suppress(ObjectMissingError):
            if await self.verify(path) == sent:
                return
        raise StoreError(f"The store at {self._address} lost an upload: somebody else aborted it")

    def _put(self, key: str, body: bytes, media_type: str) -> Stored:
        tally = Tally()
        tally.add(body)
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=media_type)
        return tally.stored()

    async def verify(self, path: str) -> Stored:
        """See `ObjectStore.verify`."""
        return await measure(self.read(path), self._threads)

    async def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncGenerator[bytes, None]:
        """See `ObjectStore.read`."""
        key = check_path(path)
        _, remaining = span(byte_range)
        with ExitStack() as stack:
            body, skipped = await self._threads.run(self._open, stack, key, byte_range)
            while remaining > 0 and (chunk := await self._threads.run(body.read, min(CHUNK_SIZE, skipped + remaining))):
                wanted = chunk[skipped : skipped + remaining]
                skipped = max(0, skipped - len(chunk))
                remaining -= len(wanted)
                if wanted:
                    yield wanted

    def _open(self, stack: ExitStack, key: str, byte_range: ByteRange | None) -> tuple[BytesIO | StreamingBody, int]:
        """The body of the response, and how many of its bytes come before the range."""
        first, _ = span(byte_range)
        request: GetObjectRequestTypeDef = {"Bucket": self._bucket, "Key": key}
        if byte_range is not None:
            request["Range"] = f"bytes={byte_range.first}-{byte_range.last}"
        try:
            response = self._client.get_object(**request)
        except ClientError as error:
            if status_of(error) == 416:  # the range begins after the end
                return BytesIO(), 0
            raise
        body = stack.enter_context(closing(response["Body"]))
        # A server may ignore the range and send the whole object (RFC 9110, 14.2). The status does not tell which:
        # `rclone serve s3` sends the range with status 200.
        return body, 0 if response.get("ContentRange") else first

    async def delete(self, path: str) -> None:
        """See `ObjectStore.delete`."""
        with suppress(ObjectMissingError):
            await self._threads.run(self._client.delete_object, Bucket=self._bucket, Key=check_path(path))

    async def probe(self) -> None:
        """See `ObjectStore.probe`. All processes write the same bytes to one key below that of the objects."""
        try:
            read = await self._probe_thread.run(self._write_and_read)
        except ObjectMissingError as error:
            raise StoreError(f"The store at {self._address} does not return what it has accepted") from error
        if read != PROBE:
            raise StoreError(f"The store at {self._address} returns other bytes than were written")

    def _write_and_read(self) -> bytes:
        self._prober.put_object(Bucket=self._bucket, Key=PROBE_KEY, Body=PROBE, ContentType="text/plain")
        with closing(self._prober.get_object(Bucket=self._bucket, Key=PROBE_KEY)["Body"]) as body:
            return body.read(len(PROBE) + 1)

    def public_url(self, path: str) -> str | None:
        """See `ObjectStore.public_url`."""
        return f"{self._public_base_url}/{quote(check_path(path))}" if self._public_base_url else None

    async def presigned_url(self, path: str, *, filename: str) -> str | None:
        """See `ObjectStore.presigned_url`. The URL is valid for five minutes and makes browsers save the file."""
        if self._presigner is None:
            return None
        return await self._threads.run(
            self._presigner.generate_presigned_url,
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": check_path(path),
                "ResponseContentDisposition": _attachment(filename),
            },
            ExpiresIn=PRESIGNED_SECONDS,
        )

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._threads.close()
        await self._probe_thread.close()
        self._client.close()
        self._prober.close()
        for session in self._sessions:
            session.close()
        if self._presigner is not None:
            self._presigner.close()


def open_s3_store(settings: Settings, outgoing: Outgoing) -> S3Store:
    """A store in the bucket that the settings name. Nothing is sent to it yet."""
    presign_endpoint, endpoint = settings.s3_presign_endpoint_url, settings.s3_endpoint_url
    account, tls = _account(settings), outgoing.new_tls()
    client = _client(account, settings, endpoint)
    prober = _client(account, settings, endpoint, attempts=_PROBE_ATTEMPTS)
    return S3Store(
        client,
        settings.s3_bucket,
        prober=prober,
        sessions=[
            _session(outgoing, tls, client, _READ_SECONDS),
            _session(outgoing, tls, prober, _PROBE_SECONDS),
        ],
        address=_address(settings),
        presigner=_client(account, settings, presign_endpoint) if presign_endpoint else None,
        public_base_url=settings.s3_public_base_url,
    )


def _address(settings: Settings) -> str:
    if settings.s3_endpoint_url is None:
        return f"AWS, region {settings.s3_region}"
    return f"{http_address_of(settings.s3_endpoint_url)} (S3_ENDPOINT_URL)"


def _session(outgoing: Outgoing, tls: SSLContext, client: "S3Client", read_seconds: int) -> OutgoingSession:
    session = OutgoingSession(
        outgoing,
        tls,
        timeout=(_CONNECT_SECONDS, read_seconds),
        max_pool_connections=THREADS * 2,  # a download keeps its connection between two reads
    )
    session.serve(client)
    return session


def _account(settings: Settings) -> Session:
    return Session(
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        region_name=settings.s3_region,
    )


def _client(account: Session, settings: Settings, endpoint_url: str | None, *, attempts: int = _ATTEMPTS) -> "S3Client":
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": _addressing_style(settings, endpoint_url)},
        retries={"mode": "standard", "total_max_attempts": attempts},
        proxies={},  # the session knows them
        # Not every server other than AWS supports the checksums that newer clients send by default.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # Certificates are checked by our own session. Without `verify`, the environment is read and has to be right.
    return account.client("s3", endpoint_url=endpoint_url, config=config, verify=True)


def _addressing_style(settings: Settings, endpoint_url: str | None) -> AddressingStyle:
    if settings.s3_addressing_style == "auto" and endpoint_url:
        # Servers other than AWS rarely have a DNS name for each bucket.
        return "path"
    return settings.s3_addressing_style


def _attachment(filename: str) -> str:
    """The header of RFC 6266: the name in ASCII for old clients, and the full name for all others."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
