from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer


def now() -> datetime:
    """The current moment: aware, in UTC."""
    return datetime.now(UTC)


def whole_seconds(moment: datetime) -> str:
    """`moment` as the API shows times: UTC, whole seconds, `2025-12-06T10:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# A moment in a response of the API.
Seconds = Annotated[datetime, PlainSerializer(whole_seconds, return_type=str, when_used="json")]
