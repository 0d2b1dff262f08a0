from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from app.storage.protocol import ObjectMissingError, StoreError


@contextmanager
def s3_errors() -> Iterator[None]:
    """Turn what the S3 client raises into the errors of the protocol.

    Their texts contain only codes and class names: a server's own text may repeat what was sent to it.
    """
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in {"NoSuchKey", "NotFound"}:
            raise ObjectMissingError from error
        raise StoreError(f"{StoreError.message}: {code or status_of(error)}") from error
    except (BotoCoreError, ResponseParserError, HTTPError, OSError, KeyError, ValueError) as error:
        # KeyError: a response with status 200 that lacks a required part, such as a server's that does not speak S3.
        # ValueError: one with a header that cannot be parsed, such as a date of a form of its own.
        raise StoreError(f"{StoreError.message}: {type(error).__name__}") from error


def status_of(error: ClientError) -> int:
    """The HTTP status of the response, or 0 if it is not known."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def code_of(error: ClientError) -> str:
    """The code by which S3 names the error, or an empty string if the response had none."""
    return error.response.get("Error", {}).get("Code", "")
