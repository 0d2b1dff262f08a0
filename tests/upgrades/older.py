"""The version before, as a checkout of its own: its programs run as they were."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from devstack import product
from devstack.ports import free_port
from devstack.product import ROOT
from devstack.programs import Program
from tests.programs import Api

# The last commit with the schema 0012.
COMMIT = "1434ec2"


def check_out(folder: Path) -> Path:
    """Write that version's files into a new folder."""
    packed = subprocess.run(["git", "-C", ROOT, "archive", COMMIT], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def api(older: Path, settings: Mapping[str, str], log: Path) -> Api:
    """Its API on a free port, not started yet."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    environment = _environment(older, {**settings, "PUBLIC_URL": origin})
    return Api(port, product.api(environment, log, origin=origin, folder=log.parent))


def worker(older: Path, settings: Mapping[str, str], log: Path) -> Program:
    """Its worker, not started yet."""
    return product.worker(_environment(older, settings), log, folder=log.parent)


def junis(older: Path, settings: Mapping[str, str], folder: Path, *words: str) -> str:
    """The standard output of one of its commands, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=_environment(older, settings),
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_tests(older: Path, *paths: str) -> str:
    """Run some of its tests, on the schema of this version; returns what pytest printed.

    Its tests migrate by `devstack.product.migration`. That is the one place in which the checkout is changed.
    """
    module = older / "devstack" / "product.py"
    ours = (
        f'Program(log.stem, ("-m", "app.cli", "migrate"), {{**env, "PYTHONPATH": {str(ROOT)!r}}}, log, folder=folder)'
    )
    theirs = 'Program(log.stem, ("-m", "app.cli", "migrate"), env, log, folder=folder)'
    text = module.read_text()
    assert theirs in text or ours in text
    module.write_text(text.replace(theirs, ours))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *paths],
        env={**os.environ, "PYTHONPATH": str(older)},
        cwd=older,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def _environment(older: Path, settings: Mapping[str, str]) -> dict[str, str]:
    return {**product.isolated(settings), "PYTHONPATH": str(older)}
