import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app.core.settings import Settings
from app.resources import Resources, open_resources
from worker.downloads import Downloader


@dataclass(frozen=True)
class WorkerContext:
    """What the worker's steps are given. `poll_wake` is set when the vendor has said that there is news."""

    resources: Resources
    downloader: Downloader
    poll_wake: asyncio.Event = field(default_factory=asyncio.Event)


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
