"""Files with secrets: readable by their owner only, and never visible half-written."""

import os
import secrets
import tempfile
from pathlib import Path


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
