"""Where a run stores its outputs, and how that can fail: a folder, one on its own disk, or S3 behind a relay."""

import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from chaos.disks import Disk, mounted
from chaos.object_server import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, serving_objects
from chaos.relay import Mood, Relay, relaying
from chaos.strikes import Blow, StoreKind

_FULL_AT = 1000  # bytes
_MOODS = {Blow.SLOW: Mood.SLOW, Blow.REFUSE: Mood.REFUSING, Blow.DROP: Mood.DROPPING}


class Store(Protocol):
    """A store that can be struck.

    Attributes:
        objects: The folder in which the objects lie in the end.
        settings: What the product has to be told.
    """

    objects: Path
    settings: Mapping[str, str]

    def strike(self, blow: Blow) -> None:
        """Let it fail."""
        ...

    def heal(self) -> None:
        """Let it work again."""
        ...


class FolderStore:
    """A folder. It is full if no file of the workers may grow, and blocked if something else has its name."""

    def __init__(self, folder: Path, workers: Callable[[], Sequence[int]]) -> None:
        self.objects = folder
        self.settings: Mapping[str, str] = {"STORAGE": "local", "LOCAL_STORAGE_DIR": str(folder)}
        self._workers = workers
        self._away = folder.with_name(f"{folder.name}-away")

    def strike(self, blow: Blow) -> None:
        """See `Store`."""
        if blow is Blow.FULL:
            self._limit(_FULL_AT)
            return
        self.objects.rename(self._away)
        self.objects.touch()

    def heal(self) -> None:
        """See `Store`."""
        self._limit(None)
        if self._away.exists():
            self.objects.unlink()
            self._away.rename(self.objects)

    def _limit(self, size: int | None) -> None:
        """The most bytes that a file of the workers may have. Beyond it a write fails, as on a full disk."""
        for pid in self._workers():
            with suppress(ProcessLookupError):
                _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if size is None else size, most))


class DiskStore(FolderStore):
    """A folder on a disk of its own, which can be slow as well."""

    def __init__(self, disk: Disk, workers: Callable[[], Sequence[int]]) -> None:
        # The folder below the mounted one, since that one cannot be renamed.
        super().__init__(disk.folder / "objects", workers)
        self._disk = disk

    def strike(self, blow: Blow) -> None:
        """See `Store`."""
        if blow is Blow.SLOW:
            self._disk.slow_down()
            return
        super().strike(blow)

    def heal(self) -> None:
        """See `Store`."""
        self._disk.speed_up()
        super().heal()


class S3Store:
    """An S3 server, whose connections the relay spoils."""

    def __init__(self, folder: Path, relay: Relay) -> None:
        self.objects = folder / BUCKET
        self.settings: Mapping[str, str] = {
            "STORAGE": "s3",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{relay.port}",
            "S3_BUCKET": BUCKET,
            "S3_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "S3_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }
        self._relay = relay

    def strike(self, blow: Blow) -> None:
        """See `Store`."""
        self._relay.be(_MOODS[blow])

    def heal(self) -> None:
        """See `Store`."""
        self._relay.be(Mood.FAITHFUL)


@contextmanager
def open_store(kind: StoreKind, folder: Path, workers: Callable[[], Sequence[int]]) -> Iterator[Store]:
    """The store of a run.

    Args:
        kind: A folder, one on a disk of its own, or S3.
        folder: Where its data go.
        workers: The process ids of the workers that run.
    """
    if kind is StoreKind.FOLDER:
        yield FolderStore(folder / "objects", workers)
        return
    if kind is StoreKind.DISK:
        with mounted(folder / "disk") as disk:
            yield DiskStore(disk, workers)
        return
    with serving_objects(folder / "s3", folder / "s3.log") as port, relaying(port) as relay:
        yield S3Store(folder / "s3", relay)
