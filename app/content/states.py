"""The life of a generated content, as pure rules."""

from app.content.errors import ContentRequestError

PENDING = "pending"
PROCESSING = "processing"
COMPLETED = "completed"
FAILED = "failed"

STATUSES = (PENDING, PROCESSING, COMPLETED, FAILED)
CONTENT_TYPES = ("image", "video", "audio", "glb", "other")


def check_retry(status: str, retry_count: int, max_retries: int) -> None:
    """Whether a content in this state may run again.

    Raises:
        ContentRequestError: it has not failed, or has been retried as often as it may.
    """
    if status != FAILED:
        raise ContentRequestError(f"Cannot retry content with status '{status}'. Only failed content can be retried.")
    if retry_count >= max_retries:
        raise ContentRequestError(f"Maximum retry attempts ({max_retries}) reached for this content.")


def check_filter(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    """Whether a filter names a value that exists.

    Raises:
        ContentRequestError: it does not.
    """
    if value is not None and value not in allowed:
        raise ContentRequestError(f"Invalid {name} '{value}'. Must be one of: {list(allowed)}")
