import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack import process
from tests.devstack.observation import has_ended
from tests.waiting import PATIENCE, wait_until

ENDS_ON_SIGTERM = "import signal; print('up', flush=True); signal.pause()"
TELLS_ITS_SIGNALS = "print(*(line for line in open('/proc/self/status') if line.startswith(('SigIgn', 'SigBlk'))))"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {ENDS_ON_SIGTERM}"
HAS_A_CHILD = "import subprocess as s, time; print(s.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"


class Programs:
    """Starts Python programs, each with its own log file, and kills those that still run at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[process.Process] = []

    def start(self, source: str, **env: str) -> process.Process:
        log = self.folder / f"{len(self.started)}.log"
        command = [sys.executable, "-c", source]
        self.started.append(process.spawn(command, env=env, log=log, death_signal=signal.SIGKILL))
        return self.started[-1]

    def log_of(self, started: process.Process) -> str:
        return (self.folder / f"{self.started.index(started)}.log").read_text()


@contextmanager
def ignored_and_blocked(*signals: signal.Signals) -> Iterator[None]:
    """Ignore and block the signals in this process during the block."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    started = Programs(tmp_path)
    yield started
    for one in started.started:
        process.kill(one)


def test_a_program_has_only_the_environment_it_is_given(programs: Programs) -> None:
    started = programs.start("import os, sys; sys.stderr.write(repr(dict(os.environ)))", ONLY="this")

    assert started.wait() == 0
    assert "'ONLY': 'this'" in programs.log_of(started)
    assert "'PATH'" not in programs.log_of(started)


def test_a_program_runs_in_its_own_session(programs: Programs) -> None:
    """A Ctrl-C in the terminal does not reach it, so that its owner decides when it ends."""
    started = programs.start(ENDS_ON_SIGTERM)

    assert os.getsid(started.pid) == started.pid != os.getsid(0)


def test_a_program_inherits_no_ignored_or_blocked_signals(programs: Programs) -> None:
    """The tests themselves may run under nohup or as a script's background job."""
    with ignored_and_blocked(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        started = programs.start(TELLS_ITS_SIGNALS)

    assert started.wait() == 0
    blocked, ignored = (int(word, 16) for word in programs.log_of(started).split()[1::2])
    assert blocked == 0
    assert not ignored & sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def test_stop_ends_programs_at_the_same_time(programs: Programs) -> None:
    both = [programs.start(ENDS_ON_SIGTERM) for _ in range(2)]
    wait_until(lambda: all("up" in programs.log_of(one) for one in both))

    process.stop([(one, signal.SIGTERM) for one in both], grace=PATIENCE)

    assert [one.returncode for one in both] == [-signal.SIGTERM, -signal.SIGTERM]


def test_stop_kills_programs_that_do_not_end(programs: Programs) -> None:
    stubborn = programs.start(IGNORES_SIGTERM)
    wait_until(lambda: "up" in programs.log_of(stubborn))

    process.stop([(stubborn, signal.SIGTERM)], grace=0.1)

    assert stubborn.returncode == -signal.SIGKILL


def test_stop_ignores_programs_that_have_ended(programs: Programs) -> None:
    ended = programs.start("raise SystemExit(3)")
    ended.wait()

    process.stop([(ended, signal.SIGTERM)], grace=PATIENCE)

    assert ended.returncode == 3


def test_kill_ends_the_children_of_a_program_too(programs: Programs) -> None:
    parent = programs.start(HAS_A_CHILD)
    wait_until(lambda: programs.log_of(parent).endswith("\n"))
    child = int(programs.log_of(parent))

    process.kill(parent)

    wait_until(lambda: has_ended(child))


def test_starting_a_missing_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        process.spawn(["/no/such/program"], env={}, log=tmp_path / "log", death_signal=signal.SIGKILL)
