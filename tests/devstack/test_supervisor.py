import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack import process
from devstack.supervisor import Supervisor, next_delay
from tests.devstack.observation import wait_until


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def supervisor(reports: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(reports.append)
    yield supervisor
    supervisor.stop(grace=0)


@pytest.fixture
def launcher(tmp_path: Path) -> Callable[[str], Callable[[], process.Process]]:
    """Makes a function that starts a Python program, whose output goes to the file `log`."""

    def make(source: str) -> Callable[[], process.Process]:
        command = [sys.executable, "-c", source]
        return lambda: process.spawn(command, env={}, log=tmp_path / "log", death_signal=signal.SIGKILL)

    return make


Launcher = Callable[[str], Callable[[], process.Process]]


def starts_in(log: Path) -> int:
    return log.read_text().count("started")


@pytest.mark.parametrize(
    ("previous", "lived", "expected"),
    [(0, 0.1, 0.2), (0.2, 0.1, 0.4), (0.4, 29.9, 0.8), (6.4, 0.1, 10), (10, 0.1, 10), (10, 30, 0.2), (0.4, 1e6, 0.2)],
)
def test_delays_double_until_a_program_has_lived_long(previous: float, lived: float, expected: float) -> None:
    assert next_delay(previous, lived) == expected


def test_a_program_that_ends_is_started_again(
    supervisor: Supervisor, launcher: Launcher, reports: list[str], tmp_path: Path
) -> None:
    supervisor.start("short", launcher("print('started'); raise SystemExit(3)"))

    def has_started_three_times() -> bool:
        supervisor.restart_dead()
        return starts_in(tmp_path / "log") == 3

    wait_until(has_started_three_times)
    assert reports[:2] == [
        "short ended with status 3; starting it again in 0.2 s",
        "short ended with status 3; starting it again in 0.4 s",
    ]


def test_it_is_not_started_before_its_delay_is_over(supervisor: Supervisor, launcher: Launcher, tmp_path: Path) -> None:
    first = supervisor.start("short", launcher("print('started')"))
    first.wait()
    noticed_at = time.monotonic()

    wait = supervisor.restart_dead()

    assert wait is not None
    assert 0 < wait <= 0.2 + 1e-9
    wait_until(lambda: supervisor.restart_dead() is not None and starts_in(tmp_path / "log") == 2)
    assert time.monotonic() - noticed_at >= 0.2


def test_nothing_is_due_while_all_run(supervisor: Supervisor, launcher: Launcher) -> None:
    supervisor.start("long", launcher("import time; time.sleep(600)"))

    assert supervisor.restart_dead() is None


def test_a_program_that_cannot_be_started_again_is_tried_again(
    supervisor: Supervisor, launcher: Launcher, reports: list[str], tmp_path: Path
) -> None:
    """Its log's folder is gone for a while, as on a full or unmounted disk."""
    folder = tmp_path / "logs"
    folder.mkdir()
    command = [sys.executable, "-c", "print('started')"]
    supervisor.start(
        "short", lambda: process.spawn(command, env={}, log=folder / "log", death_signal=signal.SIGKILL)
    ).wait()
    folder.rename(tmp_path / "away")

    wait_until(lambda: supervisor.restart_dead() is not None and any("cannot be started" in text for text in reports))
    (tmp_path / "away").rename(folder)

    wait_until(lambda: supervisor.restart_dead() is not None and starts_in(folder / "log") == 2)


def test_stopping_ends_what_it_started(supervisor: Supervisor, launcher: Launcher) -> None:
    programs = [supervisor.start(str(number), launcher("import time; time.sleep(600)")) for number in range(3)]

    supervisor.stop(grace=30)

    assert [program.returncode for program in programs] == [-signal.SIGTERM] * 3


def test_stopping_leaves_what_another_started(supervisor: Supervisor, launcher: Launcher) -> None:
    launch = launcher("import time; time.sleep(600)")
    running = launch()
    supervisor.watch("server", launch, running)

    supervisor.stop(grace=30)

    assert running.poll() is None
    process.kill(running)


def test_what_another_started_is_started_again_too(supervisor: Supervisor, launcher: Launcher, tmp_path: Path) -> None:
    launch = launcher("print('started')")
    supervisor.watch("server", launch, launch())

    wait_until(lambda: supervisor.restart_dead() is not None and starts_in(tmp_path / "log") == 2)
