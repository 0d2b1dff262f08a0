import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.programs import Program
from devstack.supervisor import Supervisor, next_delay
from tests.waiting import PATIENCE, wait_until


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def supervisor(reports: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(reports.append)
    yield supervisor
    supervisor.stop(grace=0)


PRINTS = "print('started')"
RUNS_ON = "import time; time.sleep(600)"


def program(folder: Path, source: str) -> Program:
    """A Python program, not started yet, whose output goes to the file `log`."""
    return Program("example", ("-c", source), {}, folder / "log")


def starts_in(log: Path) -> int:
    return log.read_text().count("started")


@pytest.mark.parametrize(
    ("previous", "lived", "expected"),
    [(0, 0.1, 0.2), (0.2, 0.1, 0.4), (0.4, 29.9, 0.8), (6.4, 0.1, 10), (10, 0.1, 10), (10, 30, 0.2), (0.4, 1e6, 0.2)],
)
def test_restart_delays_double_until_a_program_has_run_for_long(previous: float, lived: float, expected: float) -> None:
    assert next_delay(previous, lived) == expected


def test_a_program_that_ends_is_started_again(supervisor: Supervisor, reports: list[str], tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, f"{PRINTS}; raise SystemExit(3)"))

    def has_started_three_times() -> bool:
        supervisor.restart_dead()
        return starts_in(tmp_path / "log") == 3

    wait_until(has_started_three_times)
    assert reports[:2] == [
        "example ended with status 3; starting it again in 0.2 s",
        "example ended with status 3; starting it again in 0.4 s",
    ]


def test_a_program_is_not_restarted_before_its_delay_is_over(supervisor: Supervisor, tmp_path: Path) -> None:
    short = program(tmp_path, PRINTS)
    supervisor.start(short)
    short.running.wait()
    noticed_at = time.monotonic()

    wait = supervisor.restart_dead()

    assert wait is not None
    assert 0 < wait <= 0.2 + 1e-9
    wait_until(lambda: supervisor.restart_dead() is not None and starts_in(tmp_path / "log") == 2)
    assert time.monotonic() - noticed_at >= 0.2


def test_nothing_is_restarted_while_all_programs_run(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, RUNS_ON))

    assert supervisor.restart_dead() is None


def test_a_restart_that_fails_is_tried_again(supervisor: Supervisor, reports: list[str], tmp_path: Path) -> None:
    """The folder of its log is gone for a while, as on a full or unmounted disk."""
    folder = tmp_path / "logs"
    folder.mkdir()
    short = program(folder, PRINTS)
    supervisor.start(short)
    short.running.wait()
    folder.rename(tmp_path / "away")

    wait_until(lambda: supervisor.restart_dead() is not None and any("cannot be started" in text for text in reports))
    (tmp_path / "away").rename(folder)

    wait_until(lambda: supervisor.restart_dead() is not None and starts_in(folder / "log") == 2)


def test_stopping_ends_the_programs_that_it_started(supervisor: Supervisor, tmp_path: Path) -> None:
    programs = [program(tmp_path, RUNS_ON) for _ in range(3)]
    for one in programs:
        supervisor.start(one)

    supervisor.stop(grace=PATIENCE)

    assert [one.running.returncode for one in programs] == [-signal.SIGTERM] * 3


def test_stopping_does_not_end_programs_that_another_started(supervisor: Supervisor, tmp_path: Path) -> None:
    server = program(tmp_path, RUNS_ON)
    server.launch()
    supervisor.watch(server)

    supervisor.stop(grace=PATIENCE)

    assert server.is_alive
    server.kill()


def test_programs_that_another_started_are_restarted_too(supervisor: Supervisor, tmp_path: Path) -> None:
    server = program(tmp_path, PRINTS)
    server.launch()
    supervisor.watch(server)

    wait_until(lambda: supervisor.restart_dead() is not None and starts_in(tmp_path / "log") == 2)
