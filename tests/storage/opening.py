from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.settings import Settings
from app.storage.open import open_store
from app.storage.protocol import ObjectStore


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[ObjectStore]:
    """A store that is closed at the end of the block."""
    store = open_store(settings)
    try:
        yield store
    finally:
        await store.close()
