from collections.abc import AsyncIterator

import pytest

from tests.queue.opening import OpenRedis, opening


@pytest.fixture
async def open_pool() -> AsyncIterator[OpenRedis]:
    """Opens pools as one process does; they are closed after the test."""
    async with opening() as open_one:
        yield open_one
