from app.core.outgoing import DIRECT, Outgoing
from app.core.settings import Settings
from app.storage.counted import CountedStore
from app.storage.local import open_local_store
from app.storage.protocol import ObjectStore


def open_store(settings: Settings, outgoing: Outgoing = DIRECT) -> ObjectStore:
    """The object store that the settings choose. It opens in any case: `probe()` finds out whether it can be used."""
    if settings.storage == "s3":
        from app.storage.s3 import open_s3_store  # noqa: PLC0415 - boto3 takes 9 MB of every process

        return CountedStore(open_s3_store(settings, outgoing))
    return CountedStore(open_local_store(settings.local_storage_dir))
