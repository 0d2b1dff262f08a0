"""Programs that are asked to stop while they are still being loaded, also as the first process of a container."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack import product
from devstack.ports import free_port
from tests.waiting import PATIENCE, wait_until

DELAYS = (0.0, 0.1, 0.3, 0.6, 1.0, 2.0)
# Each program, what it imports early, and its status if it is stopped before that is loaded.
PROGRAMS = {
    "serve": (("app.cli", "serve"), "typer", 0),
    "worker": (("worker",), "uvloop", 0),
    "worker-command": (("app.cli", "worker"), "typer", 0),
    "simulator": (("simulator",), "uvicorn", 0),
    "migrate": (("app.cli", "migrate"), "typer", 128 + signal.SIGTERM),
}
# A module that never finishes loading.
ENDLESS = "import pathlib, time\npathlib.Path('loading').touch()\nwhile True:\n    time.sleep(0.01)\n"


@contextmanager
def started(arguments: Sequence[str], folder: Path, *, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A program whose modules come from the folder first. It is killed at the end of the block if it still runs."""
    env = {**product.isolated({}), "PYTHONPATH": f"{folder}{os.pathsep}{product.ROOT}"}
    command = [*prefix, sys.executable, "-m", *arguments]
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_is_being_loaded_stops_at_once(name: str, tmp_path: Path) -> None:
    arguments, module, status = PROGRAMS[name]
    (tmp_path / f"{module}.py").write_text(ENDLESS)
    with started(arguments, tmp_path) as process:
        wait_until((tmp_path / "loading").exists)
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE)

    assert process.returncode == status
    assert name == "simulator" or log.count('"event": "stopped_while_starting"') == 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_first_process_of_a_container_stops_too(name: str, tmp_path: Path) -> None:
    """Linux drops a signal that such a process does not handle. Without an init process it must handle it soon."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a process namespace needs root and unshare (apt install util-linux)")
    arguments, module, status = PROGRAMS[name]
    (tmp_path / f"{module}.py").write_text(ENDLESS)
    prefix = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    with started(arguments, tmp_path, prefix=prefix) as unshare:
        wait_until((tmp_path / "loading").exists)
        (first,) = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        unshare.communicate(timeout=PATIENCE)

    assert unshare.returncode == status


@pytest.mark.parametrize("name", ["serve", "worker-command", "simulator"])
def test_at_any_moment_after_its_start(name: str, tmp_path: Path) -> None:
    arguments = list(PROGRAMS[name][0])
    if name != "worker-command":
        arguments += ["--host", "127.0.0.1", "--port", str(free_port())]
    statuses = {delay: status_if_stopped_after(delay, arguments, tmp_path) for delay in DELAYS}

    # Before Python itself has begun, the signal ends the process as it ends any other.
    assert {delay: status for delay, status in statuses.items() if status not in {0, -signal.SIGTERM}} == {}


def status_if_stopped_after(seconds: float, arguments: Sequence[str], folder: Path) -> int:
    with started(arguments, folder) as process:
        time.sleep(seconds)
        process.terminate()
        process.communicate(timeout=PATIENCE)
        return process.returncode
