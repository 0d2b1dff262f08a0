from app.generations.models import Output
from app.storage.protocol import ByteRange, ObjectStore, StoreError


async def check_readable(output: Output, store: ObjectStore) -> None:
    """Read a byte of a file: if the store is away, the response can still say so by its status.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        async for _ in store.read(output.storage_path, ByteRange(0, 0)):
            pass
    except StoreError as error:
        # The content is made and charged. A repetition would make another one.
        error.retryable = False
        raise
