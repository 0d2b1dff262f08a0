"""A checkout that is run by Compose without an engine, and commands in its folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack import process
from devstack.product import ROOT
from tests.waiting import PATIENCE, wait_until

# What the commands of the documentation need of a checkout.
_COPIED = ("docker-compose.yml", ".env.example", "deploy", "Makefile")


@dataclass(frozen=True)
class NativeStack:
    """A folder, what answers for `docker` there, and the addresses of the proxy and the vendors."""

    folder: Path
    port: int
    url: str
    vendors_url: str

    def shell(self, script: str) -> str:
        """Run commands as they are written, up to the first that fails; what they printed."""
        path = f"{self.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "NATIVE_COMPOSE_PORT": str(self.port)}
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def junis(self, *words: str) -> str:
        """A command of the operator's, in a container of the API."""
        return self.shell(f"docker compose exec -T api junis {' '.join(words)}")


@contextmanager
def native_stack(folder: Path) -> Iterator[NativeStack]:
    """A checkout in the folder, of which nothing is started but the proxy and the vendors' simulator."""
    for name in _COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "bin").mkdir()
    client = folder / "bin/docker"
    client.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{Path(__file__).with_name("client.py")}" "$@"\n')
    client.chmod(0o755)
    log = folder / "engine.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    engine = process.spawn(
        [sys.executable, "-m", "tests.native_compose.engine", str(folder)],
        env=environment,
        log=log,
        cwd=ROOT,
        death_signal=signal.SIGTERM,
    )
    try:
        about = folder / "engine.json"
        wait_until(lambda: about.exists() or engine.poll() is not None)
        assert engine.poll() is None, log.read_text()
        told = json.loads(about.read_text())
        yield NativeStack(folder, told["port"], told["proxy"], told["vendors"])
    finally:
        process.stop([(engine, signal.SIGTERM)], grace=PATIENCE)
