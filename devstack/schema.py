"""Remember which migrations and grants a database has, so that a start with the same ones can skip them."""

import hashlib
from pathlib import Path

from devstack.private_files import write_private

_ROOT = Path(__file__).parents[1]
_VERSIONS = _ROOT / "migrations" / "versions"
_GRANTS = _ROOT / "app" / "cli" / "server_role.py"


def is_current(stamp: Path) -> bool:
    """Whether the stamp next to the database names the migrations and grants of this checkout."""
    return stamp.exists() and stamp.read_text() == _digest()


def note_current(stamp: Path) -> None:
    """Remember that the database has been brought to the newest schema."""
    write_private(stamp, _digest())


def _digest() -> str:
    digest = hashlib.sha256()
    for path in (*sorted(_VERSIONS.glob("*.py")), _GRANTS):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
