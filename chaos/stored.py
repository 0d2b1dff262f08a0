"""The store holds what the vendor made, byte for byte, and nothing else."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from asyncpg import Record

from app.core.database import Database
from chaos.vendor import Vendor

# What the simulator's delivery host sends instead of a file, with status 200: no client can tell that it is wrong.
_LOGIN_PAGE = b"<html>"
_HIDDEN = "."

_OUTPUTS = """
SELECT c.id::text, c.prediction_id, o.storage_path, o.sha256,
       c.status = 'completed' AND o.attempt = c.retry_count AS is_wanted
FROM outputs o JOIN generations c ON c.id = o.generation_id
WHERE o.size_bytes IS NOT NULL OR c.status <> 'completed' OR o.attempt <> c.retry_count
ORDER BY c.id, o.attempt, o.position
"""


async def check_store(objects: Path, database: Database, vendor: Vendor, http: httpx.AsyncClient) -> list[str]:
    """Every completed content's files, and no others."""
    async with database.transaction() as tx:
        rows = await tx.fetch(_OUTPUTS)
        completed: int = await tx.fetchval("SELECT count(*) FROM generations WHERE status = 'completed'")
    files: Mapping[str, list[Record]] = defaultdict(list)
    for row in rows:
        if row["is_wanted"]:
            files[row["id"]].append(row)
    violations = check_paths(objects, [dict(row) for row in rows])
    if len(files) != completed:
        violations.append(f"{completed} contents are completed, {len(files)} have files")
    misled = _misled(vendor)
    outputs = {prediction["id"]: prediction["output"] for prediction in vendor.predictions}
    for content_files in files.values():
        made = await _made(outputs[content_files[0]["prediction_id"]], http)
        violations += _check_bytes(objects, content_files, made, misled)
    return violations


def check_paths(objects: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The store holds the objects that are wanted, and no others. Outputs have storage_path and is_wanted."""
    wanted = {row["storage_path"] for row in rows if row["is_wanted"]}
    found = {
        str(path.relative_to(objects))
        for path in objects.rglob("*")
        if path.is_file() and not path.relative_to(objects).parts[0].startswith(_HIDDEN)
    }
    return [
        *(f"{row['storage_path']}: kept for an attempt that failed" for row in rows if not row["is_wanted"]),
        *(f"{path}: belongs to nothing" for path in sorted(found - wanted)),
        *(f"{path}: missing in the store" for path in sorted(wanted - found)),
    ]


def _misled(vendor: Vendor) -> set[str]:
    """The predictions for which the delivery host has sent a page instead of a file."""
    return {entry["prediction_id"] for entry in vendor.deliveries if "delivery-wrong-type" in entry.get("faults", [])}


def _check_bytes(objects: Path, files: Sequence[Record], made: Sequence[bytes], misled: set[str]) -> list[str]:
    if len(made) != len(files):
        return [f"content {files[0]['id']}: {len(files)} files of {len(made)}"]
    violations: list[str] = []
    for row, expected in zip(files, made, strict=True):
        path = objects / row["storage_path"]
        stored = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(stored).hexdigest() != row["sha256"]:
            violations.append(f"{row['storage_path']}: not the bytes whose hash was kept")
        if stored != expected and not (row["prediction_id"] in misled and stored.startswith(_LOGIN_PAGE)):
            violations.append(f"{row['storage_path']}: not the vendor's bytes")
    return violations


async def _made(output: Any, http: httpx.AsyncClient) -> list[bytes]:
    """The files that the vendor made, according to its output."""
    texts = [output] if isinstance(output, str) else output
    if not isinstance(texts, list):
        return [json.dumps(output, separators=(",", ":"), ensure_ascii=False).encode()]
    if texts[0].startswith("http"):
        return [(await http.get(text)).raise_for_status().content for text in texts]
    return ["".join(texts).encode()]
