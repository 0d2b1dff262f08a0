import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack import process

WAITS_TO_BE_STOPPED = """
import sys
from devstack.interrupts import Interrupts, Stopped

with Interrupts() as interrupts:
    print("waiting", flush=True)
    try:
        {wait}
    except Stopped:
        print("stopping", flush=True)
        sys.stdin.readline()
        print("stopped", flush=True)
"""

WAITS_FOR_A_CHILD = """
import subprocess
from devstack.interrupts import Interrupts

with Interrupts() as interrupts:
    child = subprocess.Popen(["sleep", "0.1"])
    while child.poll() is None:
        interrupts.wait(None)
    print("noticed")
"""

PAUSES_WHILE_A_CHILD_ENDS = """
import subprocess, time
from devstack.interrupts import Interrupts

with Interrupts() as interrupts:
    started_at = time.monotonic()
    with subprocess.Popen(["true"]):
        interrupts.pause(0.5)
    print(time.monotonic() - started_at)
"""

IN_BOTH_WAITS = pytest.mark.parametrize("wait", ["interrupts.wait(None)", "interrupts.pause(600)"])


class Script:
    """A Python program that the test exchanges lines with."""

    def __init__(self, log: Path, source: str, *launcher: str) -> None:
        self.process = process.spawn(
            [*launcher, sys.executable, "-c", source],
            env=os.environ,
            log=log,
            death_signal=signal.SIGKILL,
            stdin=process.PIPE,
            stdout=process.PIPE,
        )

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def write_line(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    started: list[Script] = []

    def run(source: str, *launcher: str) -> Script:
        started.append(Script(tmp_path / "log", source, *launcher))
        return started[-1]

    yield run
    for script in started:
        with script.process:  # closes its pipes
            process.kill(script.process)


@IN_BOTH_WAITS
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_the_wait(start: Callable[..., Script], wait: str, how: signal.Signals) -> None:
    script = start(WAITS_TO_BE_STOPPED.format(wait=wait))
    assert script.read_line() == "waiting"

    script.process.send_signal(how)

    assert script.read_line() == "stopping"
    script.write_line()
    assert script.read_line() == "stopped"
    assert script.process.wait() == 0


def test_further_stop_signals_do_not_disturb_the_shutdown(start: Callable[..., Script]) -> None:
    script = start(WAITS_TO_BE_STOPPED.format(wait="interrupts.wait(None)"))
    assert script.read_line() == "waiting"
    script.process.send_signal(signal.SIGTERM)
    script.process.send_signal(signal.SIGINT)
    assert script.read_line() == "stopping"

    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        script.process.send_signal(how)
    script.write_line()

    assert script.read_line() == "stopped"
    assert script.process.wait() == 0


def test_under_nohup_sighup_does_not_stop_the_program(start: Callable[..., Script]) -> None:
    script = start(WAITS_TO_BE_STOPPED.format(wait="interrupts.wait(None)"), "nohup")
    assert script.read_line() == "waiting"

    script.process.send_signal(signal.SIGHUP)
    script.process.send_signal(signal.SIGTERM)

    assert script.read_line() == "stopping"


@pytest.mark.parametrize("command", ["trap '' INT TERM", "trap '' INT"])
def test_stop_signals_work_even_if_the_caller_ignores_them(start: Callable[..., Script], command: str) -> None:
    """A script's shell starts its background jobs with SIGINT ignored."""
    script = start(WAITS_TO_BE_STOPPED.format(wait="interrupts.wait(None)"), "sh", "-c", f'{command}; exec "$@"', "sh")
    assert script.read_line() == "waiting"

    script.process.send_signal(signal.SIGINT)

    assert script.read_line() == "stopping"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signals_work_even_if_the_caller_blocks_them(start: Callable[..., Script], how: signal.Signals) -> None:
    blocking = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [{how:d}])"
    script = start(blocking + WAITS_TO_BE_STOPPED.format(wait="interrupts.wait(None)"))
    assert script.read_line() == "waiting"

    script.process.send_signal(how)

    assert script.read_line() == "stopping"


def test_the_end_of_a_child_ends_a_wait(start: Callable[..., Script]) -> None:
    script = start(WAITS_FOR_A_CHILD)

    assert script.read_line() == "noticed"


def test_the_end_of_a_child_does_not_shorten_a_pause(start: Callable[..., Script]) -> None:
    script = start(PAUSES_WHILE_A_CHILD_ENDS)

    assert float(script.read_line()) >= 0.5
