from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg


class Statements(Protocol):
    """Runs statements: in a transaction that is open, or each in a transaction of its own."""

    async def fetch(self, sql: str, *values: object) -> Sequence[asyncpg.Record]:
        """All rows of one statement."""
        ...

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        ...
