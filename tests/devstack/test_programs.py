import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import product
from devstack.errors import StackError, StartupError
from devstack.managed import require_orderly_end
from devstack.ports import free_port
from devstack.programs import Program, run_to_end
from tests.waiting import wait_until

IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


def program(folder: Path, *arguments: str, ready_url: str | None = None) -> Program:
    return Program("example", ("-m", *arguments), os.environ, folder / "example.log", ready_url=ready_url)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Program]:
    port = str(free_port())
    arguments = ("http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), port)
    server = program(tmp_path, *arguments, ready_url=f"http://127.0.0.1:{port}/")
    yield server
    server.kill()


def test_what_a_program_prints_is_returned_and_not_logged(tmp_path: Path) -> None:
    printing = program(tmp_path, "timeit", "-n1", "-r1", "pass")

    assert "1 loop" in run_to_end(printing)
    assert "1 loop" not in printing.log.read_text()


def test_if_a_program_fails_the_error_shows_the_end_of_its_log(tmp_path: Path) -> None:
    failing = program(tmp_path, "timeit", "-n1", "-r1", "raise ValueError('the reason')")

    with pytest.raises(StartupError, match=r"(?s)example ended with status 1.*the reason"):
        run_to_end(failing)


def test_a_server_is_ready_once_it_responds(server: Program) -> None:
    server.start()

    assert server.is_alive


def test_a_killed_server_can_be_started_again(server: Program) -> None:
    server.start()
    first = server.running

    server.kill()
    server.start()

    assert first.poll() is not None
    assert server.is_alive


def test_a_server_runs_during_its_block(server: Program) -> None:
    with server.serving():
        assert server.running.poll() is None

    assert server.running.poll() is not None


def test_a_server_that_has_to_be_killed_is_an_error(tmp_path: Path) -> None:
    stubborn = Program("example", ("-c", IGNORES_SIGTERM), os.environ, tmp_path / "log")
    stubborn.launch()
    wait_until(lambda: "up" in stubborn.log.read_text())

    with pytest.raises(StackError, match="example: did not end within 0 s"):
        require_orderly_end(stubborn, grace=0)

    assert not stubborn.is_alive


def test_if_a_server_ends_early_the_error_shows_the_end_of_its_log(tmp_path: Path) -> None:
    server = program(tmp_path, "http.server", "no-port", ready_url=f"http://127.0.0.1:{free_port()}/")

    with pytest.raises(StartupError, match=r"(?s)example ended with status 2.*no-port"):
        server.start()


def test_an_isolated_program_gets_only_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_KEY", "a-developers-own")

    environment = product.isolated({"LLM_MODEL": "sim-chat"})

    assert "LLM_API_KEY" not in environment
    assert environment["LLM_MODEL"] == "sim-chat"
    assert environment["PATH"] == os.environ["PATH"]
