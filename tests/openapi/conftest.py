from collections.abc import AsyncIterator

import httpx
import pytest

from tests.chat.asking import open_http
from tests.conftest import Stack


@pytest.fixture(scope="module")
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened
