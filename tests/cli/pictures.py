"""Contents with files in a local store, as a worker leaves them."""

import hashlib
from pathlib import Path

from tests.cli.conftest import Junis
from tests.cli.databases import execute

_CATALOG = """
[[models]]
name = "simulator/image"
kind = "generation"
price = { per_output = 0.01, ceiling = 0.1 }
"""
_PICTURE = """
WITH made AS (
    INSERT INTO generations (id, organization_id, user_id, model, input, prompt, price_id, max_retries, file_token,
        status, retry_count, deadline_at, failures, is_parked, webhook_nonce, credit_cost, content_type, started_at,
        completed_at)
    SELECT gen_random_uuid(), m.organization_id, m.user_id, 'simulator/image', '{{}}', '', p.id, 3, '{token}',
           'completed', 0, now(), 0, false, 'nonce', 0.01, 'image', now(), now()
    FROM memberships m, prices p WHERE p.model_name = 'simulator/image' LIMIT 1 RETURNING id
)
INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type, size_bytes, sha256)
SELECT id, 0, 0, '{path}', 'image', 'image/webp', {size}, '{sha256}' FROM made
"""


def add_pictures(junis: Junis, url: str, folder: Path, count: int) -> list[Path]:
    """Add completed contents of an organization that there is, and their files to this store; returns the files."""
    catalog = folder.with_name("catalog.toml")
    catalog.write_text(_CATALOG)
    assert junis("catalog", "import", str(catalog)).status == 0
    return [_add_picture(url, folder, number) for number in range(count)]


def _add_picture(url: str, folder: Path, number: int) -> Path:
    path, content = f"generation/acme/{number}.webp", f"picture {number}".encode() * 1000
    digest = hashlib.sha256(content).hexdigest()
    execute(url, _PICTURE.format(token=f"token-{number}", path=path, size=len(content), sha256=digest))
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file
