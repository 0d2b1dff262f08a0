from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import Stack
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
async def stranger(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends no key unless the test adds one."""
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as opened:
        yield opened
