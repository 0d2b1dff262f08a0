from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.conftest import Stack

# A credit for a million tokens, so that costs are easy to calculate.
_MODEL = """
[[models]]
name = "{name}"
kind = "embedding"
price = {{ per_million_prompt_tokens = 1 }}
"""
_FLAVOURS = (
    *("", "--no-base64", "--ignores-base64", "--no-usage", "--fewer-vectors", "--status-401", "--status-404"),
    *("--nan-vectors", "--infinite-vectors"),
    *("--status-429", "--html-502", "--drop-before-response", "--first-token-slow-600", "--first-token-slow-1"),
)


@pytest.fixture(scope="session")
async def priced(database: Database) -> Database:
    """The database with the simulator's embedding models."""
    models = "".join(_MODEL.format(name=f"sim-embed{flavour}") for flavour in _FLAVOURS)
    await factories.import_catalog(database, models)
    return database


@pytest.fixture(scope="session")
async def http(stack: Stack, priced: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened
