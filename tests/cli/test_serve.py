import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.cli.binding import bind
from app.cli.reporting import CommandFailedError
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program
from devstack.servers import EmbeddedServers
from tests.cli.outcome import run_process
from tests.waiting import PATIENCE


@pytest.fixture
def serving(
    database_url: str, embedded: EmbeddedServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    monkeypatch.setenv("REDIS_URL", embedded.redis_url)
    origin = f"http://127.0.0.1:{free_port()}"
    with product.api(os.environ, tmp_path / "api.log", origin=origin, host="::").serving() as program:
        yield program


def test_on_every_address_it_serves_both_kinds(serving: Program) -> None:
    url = str(serving.ready_url)
    responses = [httpx.get(url.replace("127.0.0.1", host), timeout=PATIENCE) for host in ("127.0.0.1", "[::1]")]

    for response in responses:
        assert response.status_code == 200, response.text
        assert "date" in response.headers
        assert "server" not in response.headers


def test_it_stops_on_request(serving: Program) -> None:
    serving.running.send_signal(signal.SIGTERM)

    assert serving.running.wait() in {0, -signal.SIGTERM}


def test_a_port_that_another_program_has_is_said_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = run_process("serve", "--host", "127.0.0.1", "--port", str(port))

    assert refused.status == 1
    assert refused.stderr == f"error: Cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_host_of_another_machine_is_said_in_a_line() -> None:
    with pytest.raises(CommandFailedError, match=r"^Cannot listen on 192\.0\.2\.1:0: Cannot assign requested address$"):
        bind("192.0.2.1", 0)


def test_a_name_is_served_on_each_of_its_addresses() -> None:
    sockets = bind("localhost", 0)

    addresses = {sock.getsockname()[:2] for sock in sockets}
    for sock in sockets:
        sock.close()
    assert ("127.0.0.1", *{port for _, port in addresses}) in addresses
    assert len({port for _, port in addresses}) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_served_alone(host: str) -> None:
    (sock,) = bind(host, 0)
    with sock:
        assert sock.getsockname()[0] == host
