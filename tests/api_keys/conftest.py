from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import Stack
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
async def stranger(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows no key of its own accord."""
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as opened:
        yield opened
