"""Copies of databases for tests that run in an event loop."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.cli.databases import sibling


@asynccontextmanager
async def copy_of(url: str, template: str) -> AsyncIterator[str]:
    """Make a copy of a database on the same server, for the duration of the block; yields its URL."""
    name = f"copy_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield sibling(url, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
