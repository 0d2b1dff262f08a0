import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg


def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    query(url, statement)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of one statement, run on a connection of its own."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(run())


def sibling(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@contextmanager
def clone(url: str, template: str) -> Iterator[str]:
    """Make a copy of a database on the same server; it exists for the duration of the block.

    Returns:
        Its URL.
    """
    name = f"cli_{uuid.uuid4().hex}"
    execute(url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield sibling(url, name)
    finally:
        execute(url, f"DROP DATABASE {name} WITH (FORCE)")
