"""The product's own programs, as the tests start them: real processes, spoken to over HTTP."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from devstack.ports import free_port

ROOT = Path(__file__).parents[1]
_START_SECONDS = 30
_STOP_SECONDS = 20


@contextmanager
def running(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a Python program for as long as the block takes; it gets these settings and no others."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            # A folder without `.env`, so that a developer's own settings do not reach the tests.
            cwd=log.parent,
            env={**_clean_environment(), **environment, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        finally:
            process.kill()


@contextmanager
def running_api(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """Runs the API on a free port; its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["-m", "app.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with running(arguments, {**environment, "PUBLIC_URL": url}, log) as process:
        wait_until_ready(url, process, log)
        yield url


@contextmanager
def running_worker(environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a worker."""
    with running(["-m", "worker"], environment, log) as process:
        yield process


def migrate(environment: Mapping[str, str], folder: Path) -> None:
    """Bring the database's schema to its newest form."""
    subprocess.run(
        [sys.executable, "-m", "app.cli", "migrate"],
        cwd=folder,
        env={**_clean_environment(), **environment, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the API answers that it is ready."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"The API did not start:\n{log.read_text()[-4000:]}")


def _clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
