from typing import Any

import asyncpg
from redis.asyncio import Redis


async def query(url: str, statement: str) -> Any:
    """Run one statement on its own connection; returns the first value of its first row."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def command(url: str, *words: str) -> Any:
    """Run one command on its own connection."""
    async with Redis.from_url(url, decode_responses=True) as client:
        return await client.execute_command(*words)
