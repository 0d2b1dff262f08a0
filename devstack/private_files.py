"""Files and folders that only their owner can read, and files that are never visible half-written."""

import os
import secrets
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_OWNERS_RIGHTS = 0o700


def make_private(folder: Path, own: Collection[str]) -> None:
    """Create a folder that only its owner can open; of one that exists, take their rights from all others.

    Args:
        folder: The folder. If it has other entries too, it is somebody else's, and keeps its mode.
        own: The names of our entries.
    """
    folder.mkdir(mode=_OWNERS_RIGHTS, parents=True, exist_ok=True)
    entries = list(folder.iterdir())
    ours = [entry for entry in entries if entry.name in own and not entry.is_symlink()]
    for path in (folder, *ours) if len(ours) == len(entries) else ours:
        with suppress(PermissionError):  # another account's, which may be meant so
            path.chmod(path.stat().st_mode & _OWNERS_RIGHTS)


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace a file's content as one step; nobody but its owner can ever open it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, mode)
        Path(name).replace(path)
    except BaseException:  # raised again
        Path(name).unlink(missing_ok=True)
        raise


def read_or_create_secret(path: Path) -> str:
    """The secret kept in a file, made on the first call: 256 random bits in URL-safe characters."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()
