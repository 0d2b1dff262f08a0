import os
import time
from pathlib import Path

import pytest

from devstack import process
from devstack.errors import StartupError
from devstack.ports import free_port
from devstack.programs import Program, run_to_end, wait_until_ready


def program(folder: Path, *arguments: str) -> Program:
    return Program("example", arguments, os.environ, folder / "example.log")


def test_what_a_program_prints_is_returned_and_not_logged(tmp_path: Path) -> None:
    printing = program(tmp_path, "timeit", "-n1", "-r1", "pass")

    assert "1 loop" in run_to_end(printing, time.sleep)
    assert "1 loop" not in printing.log.read_text()


def test_a_program_that_fails_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    failing = program(tmp_path, "timeit", "-n1", "-r1", "raise ValueError('the reason')")

    with pytest.raises(StartupError, match=r"(?s)example ended with status 1.*the reason"):
        run_to_end(failing, time.sleep)


def test_a_server_is_ready_once_it_answers(tmp_path: Path) -> None:
    port = str(free_port())
    server = program(tmp_path, "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), port)
    running = server.launch()

    wait_until_ready(server, running, f"http://127.0.0.1:{port}/", time.sleep)

    process.kill(running)


def test_a_server_that_ends_instead_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = program(tmp_path, "http.server", "no-port")
    running = server.launch()

    with pytest.raises(StartupError, match=r"(?s)example ended with status 2.*no-port"):
        wait_until_ready(server, running, f"http://127.0.0.1:{free_port()}/", time.sleep)
