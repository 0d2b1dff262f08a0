from app.core.watch import OK, Finding
from app.storage.protocol import ObjectStore, StoreError, StoreFault

# States in which a process that has just been started is probably set up wrongly.
MISCONFIGURED = frozenset({StoreFault.REFUSED, StoreFault.BUCKET_MISSING, StoreFault.NOT_WRITABLE})


async def probe_store(store: ObjectStore) -> Finding:
    """Whether the store accepts a write and returns what was written; if not, the state is a `StoreFault`."""
    try:
        await store.probe()
    except StoreError as error:
        return Finding(error.fault, str(error))
    return OK
