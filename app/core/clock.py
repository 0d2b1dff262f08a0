from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer

from app.core.database import Transaction


def now() -> datetime:
    """The current moment by the clock of this machine: aware, in UTC. Nothing that others rely on is decided by it."""
    return datetime.now(UTC)


async def moment_of(tx: Transaction) -> datetime:
    """The moment at which the transaction began, by the clock of Postgres: the only one that all processes share."""
    moment: datetime = await tx.fetchval("SELECT now()")
    return moment


def whole_seconds(moment: datetime) -> str:
    """`moment` as the API shows times: UTC, whole seconds, `2025-12-06T10:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# A moment in a response of the API.
Seconds = Annotated[datetime, PlainSerializer(whole_seconds, return_type=str, when_used="json")]
