"""Remember which migrations a database has, so that a start with the same ones can skip them."""

import hashlib
from pathlib import Path

from devstack.private_files import write_private

_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"


def is_current(stamp: Path) -> bool:
    """Whether the stamp next to the database names the migrations of this checkout."""
    return stamp.exists() and stamp.read_text() == _digest()


def note_current(stamp: Path) -> None:
    """Remember that the database has been brought to the newest schema."""
    write_private(stamp, _digest())


def _digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_VERSIONS.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
