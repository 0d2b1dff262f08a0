"""A program that is forked is what it would be if it had been started: in its end, its signals and what it is given."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from devstack import product
from devstack.ports import free_port
from devstack.programs import Program, run_to_end
from tests import programs
from tests.waiting import PATIENCE, until
from tests.warm_start.program import WarmProcess, WarmProgram


def simulator(folder: Path, *options: str) -> Program:
    origin = f"http://127.0.0.1:{free_port()}"
    return WarmProgram.of(
        product.simulator(product.isolated({}), folder / "log", *options, origin=origin, folder=folder)
    )


def test_it_ends_when_it_is_asked_to_and_is_killed_as_others_are(tmp_path: Path) -> None:
    program = simulator(tmp_path)

    with program.serving():
        assert isinstance(program.process, WarmProcess)
        with pytest.raises(subprocess.TimeoutExpired):
            program.running.wait(0.01)
        folder = Path(f"/proc/{program.pid}")
        assert (folder / "cwd").readlink() == tmp_path
        assert os.getpgid(program.pid) == program.pid
    assert program.running.returncode == 0

    program.start()
    program.kill()
    assert program.running.wait() == program.running.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{program.pid}").exists()
    program.running.send_signal(signal.SIGTERM)


def test_its_status_and_its_output_are_those_of_one_that_was_started(tmp_path: Path) -> None:
    arguments = ("-m", "app.cli", "migrate", "--no-such-option")
    kinds: list[type[Program]] = [Program, WarmProgram]
    started = [
        kind("junis", arguments, product.isolated({}), tmp_path / kind.__name__, folder=tmp_path) for kind in kinds
    ]

    statuses = [program.launch().wait(PATIENCE) for program in started]

    assert statuses == [2, 2]
    cold, warm = (program.log.read_text() for program in started)
    assert "no-such-option" in cold
    assert cold == warm


def test_it_has_its_own_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://of-the-person@127.0.0.1:1/junis")
    asked = WarmProgram(
        "junis", ("-m", "app.cli", "doctor"), product.isolated({"LLM_MODEL": "own"}), tmp_path / "log", folder=tmp_path
    )

    assert asked.launch().wait(PATIENCE) != 0
    assert "of-the-person" not in asked.log.read_text()


def test_what_it_prints_can_be_read(tmp_path: Path) -> None:
    printed = run_to_end(
        WarmProgram("junis", ("-m", "app.cli", "--help"), product.isolated({}), tmp_path / "log", folder=tmp_path)
    )

    assert "Run and administer a Junis server" in printed


async def test_it_dies_with_the_process_that_forked_it(tmp_path: Path) -> None:
    source = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.warm_start.test_warm_start import simulator\n"
        "program = simulator(Path(sys.argv[1]))\nprogram.start()\nprint(program.pid, flush=True)\ntime.sleep(1000)"
    )
    owner = Program("owner", ("-c", source, str(tmp_path)), os.environ, tmp_path / "owner.log", folder=programs.ROOT)
    running = owner.launch(stdout=subprocess.PIPE)
    assert running.stdout
    with running.stdout as printed:
        pid = int(printed.readline())

    owner.kill()

    await until(lambda: _is_gone(Path(f"/proc/{pid}")))


async def _is_gone(process: Path) -> bool:
    return not await asyncio.to_thread(process.exists)
