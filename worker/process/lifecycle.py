import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app.catalog.pricing import PriceTag
from app.core.settings import Settings
from app.resources import Resources, open_resources
from worker.transfer.downloads import Downloader


@dataclass(frozen=True)
class WorkerContext:
    """What the worker's steps are given.

    `poll_wake` is set when the vendor has said that there is news. `prices` are those that were looked up already.
    """

    resources: Resources
    downloader: Downloader
    poll_wake: asyncio.Event = field(default_factory=asyncio.Event)
    prices: dict[int, PriceTag] = field(default_factory=dict)

    @property
    def lease(self) -> timedelta:
        """How long a step is left to whoever took it, when nothing more is heard of it."""
        return timedelta(seconds=self.resources.settings.worker_lease_seconds)


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[WorkerContext]:
    """Open what the worker talks to. The session for downloads knows no vendor's token."""
    session = aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
        headers={"Accept-Encoding": "identity"},
    )
    async with open_resources(settings) as resources, session:
        yield WorkerContext(resources, Downloader(session, settings.output_hosts, settings.max_output_bytes))
