"""An organization's contents that several tests read and none changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.content.contents import insert_content
from tests.factories import Organization
from tests.plain_http import NO_TLS
from tests.waiting import PATIENCE


@dataclass(frozen=True)
class Shelf:
    """The ids of contents, in the order in which they were added, and a client of the owner."""

    database: Database
    organization: Organization
    client: httpx.AsyncClient
    ids: list[str] = field(default_factory=list)

    async def add(self, status: str, *, minutes_ago: float = 0, **values: Any) -> None:
        """Add a content, as `insert_content` makes it."""
        created_at = now() - timedelta(minutes=minutes_ago)
        content = await insert_content(self.database, self.organization, status, created_at=created_at, **values)
        self.ids.append(str(content.id))

    async def page(self, **query: str | int) -> dict[str, Any]:
        """A page of the list."""
        page: dict[str, Any] = (await self.client.get("/content", params=query)).raise_for_status().json()
        return page


@asynccontextmanager
async def open_shelf(stack: Stack, database: Database) -> AsyncIterator[Shelf]:
    """The empty shelf of a new organization."""
    organization = await factories.make_organization(database)
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=organization.headers, timeout=PATIENCE, verify=NO_TLS
    ) as client:
        yield Shelf(database, organization, client)
