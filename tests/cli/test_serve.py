import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devstack import product
from devstack.ports import free_port
from devstack.programs import Program
from devstack.servers import EmbeddedServers
from tests.waiting import PATIENCE


@pytest.fixture
def serving(
    database_url: str, embedded: EmbeddedServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    monkeypatch.setenv("REDIS_URL", embedded.redis_url)
    origin = f"http://127.0.0.1:{free_port()}"
    with product.api(os.environ, tmp_path / "api.log", origin=origin).serving() as program:
        yield program


def test_it_serves_on_the_given_address(serving: Program) -> None:
    response = httpx.get(str(serving.ready_url), timeout=PATIENCE)

    assert response.status_code == 200, response.text
    assert "date" in response.headers
    assert "server" not in response.headers


def test_it_stops_on_request(serving: Program) -> None:
    serving.running.send_signal(signal.SIGTERM)

    assert serving.running.wait() in {0, -signal.SIGTERM}
