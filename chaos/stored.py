"""The store holds what the vendor made, byte for byte, and nothing else."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from chaos.tables import Content, StoredOutput
from chaos.vendor import Entry, Vendor, files_of

# What the simulator's delivery host sends instead of a file, with status 200: no client can tell that it is wrong.
_LOGIN_PAGE = b"<html>"
_HIDDEN = "."


async def check_store(
    objects: Path, contents: Sequence[Content], outputs: Sequence[StoredOutput], vendor: Vendor, http: httpx.AsyncClient
) -> list[str]:
    """Every completed content's files, and no others."""
    violations = check_paths(objects, outputs)
    files: Mapping[str, list[StoredOutput]] = defaultdict(list)
    for output in outputs:
        if output.is_wanted:
            files[output.content_id].append(output)
    predictions = {prediction["id"]: prediction for prediction in vendor.predictions}
    misled = {entry["prediction_id"] for entry in vendor.deliveries if "delivery-wrong-type" in entry.get("faults", [])}
    for content in contents:
        prediction = predictions.get(content.prediction_id or "")
        if content.status == "completed" and prediction is not None:
            made = await _made(prediction, http)
            violations += _check_bytes(
                objects, content, files[content.id], made, was_misled=content.prediction_id in misled
            )
    return violations


def check_paths(objects: Path, outputs: Sequence[StoredOutput]) -> list[str]:
    """The store holds the objects that are wanted, and no others."""
    wanted = {output.storage_path for output in outputs if output.is_wanted}
    found = {
        str(path.relative_to(objects))
        for path in objects.rglob("*")
        if path.is_file() and not any(name.startswith(_HIDDEN) for name in path.relative_to(objects).parts)
    }
    return [
        *(
            f"{output.storage_path}: kept for an attempt that has not completed"
            for output in outputs
            if not output.is_wanted
        ),
        *(f"{path}: belongs to nothing" for path in sorted(found - wanted)),
        *(f"{path}: missing in the store" for path in sorted(wanted - found)),
    ]


def _check_bytes(
    objects: Path, content: Content, files: Sequence[StoredOutput], made: Sequence[bytes], *, was_misled: bool
) -> list[str]:
    if len(made) != len(files):
        return [f"content {content.id}: {len(files)} files of {len(made)}"]
    violations: list[str] = []
    for output, expected in zip(files, made, strict=True):
        path = objects / output.storage_path
        stored = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(stored).hexdigest() != output.sha256:
            violations.append(f"{output.storage_path}: not the bytes whose hash was kept")
        if stored != expected and not (was_misled and stored.startswith(_LOGIN_PAGE)):
            violations.append(f"{output.storage_path}: not the vendor's bytes")
    return violations


async def _made(prediction: Entry, http: httpx.AsyncClient) -> list[bytes]:
    """The files that the vendor made."""
    output = prediction["output"]
    if urls := files_of(output):
        return [(await http.get(url)).raise_for_status().content for url in urls]
    if isinstance(output, str):
        return [output.encode()]
    if isinstance(output, list):
        return ["".join(output).encode()]
    return [json.dumps(output, separators=(",", ":"), ensure_ascii=False).encode()]
