import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from devstack.ports import free_port
from devstack.servers import EmbeddedServers
from tests.waiting import PATIENCE, wait_until


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def serving(
    database_url: str, embedded: EmbeddedServers, port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.setenv("REDIS_URL", embedded.redis_url)
    command = [sys.executable, "-m", "app.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: process.poll() is not None or _answers(port))
            yield process
        finally:
            process.kill()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE).is_success
    except httpx.TransportError:
        return False


def test_it_answers_on_the_address_that_is_given(serving: subprocess.Popen[bytes], port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE)

    assert answer.status_code == 200, answer.text
    assert "date" in answer.headers
    assert "server" not in answer.headers


def test_it_ends_when_it_is_asked_to(serving: subprocess.Popen[bytes]) -> None:
    serving.send_signal(signal.SIGTERM)

    assert serving.wait() in {0, -signal.SIGTERM}
