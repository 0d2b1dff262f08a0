from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from app.storage.protocol import ObjectMissingError, StoreError


@contextmanager
def s3_errors() -> Iterator[None]:
    """Turn what the S3 client raises into the errors of the protocol.

    Only codes and names of classes go into the text: a server's own words may repeat what was sent to it.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in {"NoSuchKey", "NotFound", "404"}:
            raise ObjectMissingError("No object stands at that path") from error
        raise StoreError(f"{StoreError.message}: {code or status_of(error)}") from error
    except (BotoCoreError, ResponseParserError, HTTPError, OSError, KeyError) as error:
        # KeyError: an answer with 200 that lacks what it must hold, as from a server that does not speak S3.
        raise StoreError(f"{StoreError.message}: {type(error).__name__}") from error


def status_of(error: ClientError) -> int:
    """The HTTP status that the server answered with, 0 where it is not known."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
