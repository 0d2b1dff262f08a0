from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from app.storage.protocol import ObjectMissingError, StoreError, StoreFault

_NO_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName"})
# The region is a part of what is signed.
_REFUSED = frozenset({"AuthorizationHeaderMalformed", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"})
_FULL = frozenset({"QuotaExceeded", "QuotaExceededException", "XMinioStorageFull", "InsufficientStorage"})
# Its status is that of a refusal, but the keys are right.
_CLOCK = "RequestTimeTooSkewed"

_KEYS = "S3_ACCESS_KEY_ID or S3_SECRET_ACCESS_KEY"


@contextmanager
def s3_errors(address: str) -> Iterator[None]:
    """Turn what the S3 client raises into the errors of the protocol.

    Their texts contain only codes and class names: a server's own text may repeat what was sent to it.

    Args:
        address: where the store is, for these texts.
    """
    try:
        yield
    except ClientError as error:
        raise _meaning(error, address) from error
    except (BotoCoreError, ResponseParserError, HTTPError, OSError, KeyError, ValueError) as error:
        # KeyError: a response with status 200 that lacks a required part, such as a server's that does not speak S3.
        # ValueError: one with a header that cannot be parsed, such as a date of a form of its own.
        raise StoreError(f"The store at {address} cannot be used: {type(error).__name__}") from error


def _meaning(error: ClientError, address: str) -> StoreError:
    code = code_of(error)
    status = status_of(error)
    if code in {"NoSuchKey", "NotFound"}:
        return ObjectMissingError()
    told = code or status
    if code in _NO_BUCKET:
        return StoreError(f"The store at {address} has no bucket S3_BUCKET: {told}", fault=StoreFault.BUCKET_MISSING)
    if code == _CLOCK:
        return StoreError(f"The clocks of this machine and of the store at {address} differ: {code}")
    # Before the refusals: the status of a quota that is used up is 403 in some stores.
    if code in _FULL or status == 507:
        return StoreError(f"The store at {address} is full: {told}", fault=StoreFault.FULL)
    if code in _REFUSED or status in {401, 403}:
        return StoreError(f"The store at {address} refuses {_KEYS}: {told}", fault=StoreFault.REFUSED)
    return StoreError(f"The store at {address} failed: {told}")


def status_of(error: ClientError) -> int:
    """The HTTP status of the response, or 0 if it is not known."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def code_of(error: ClientError) -> str:
    """The code by which S3 names the error, or an empty string if the response had none."""
    return error.response.get("Error", {}).get("Code", "")
