"""Start processes that cannot outlive us, and end them in an orderly way."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

PIPE = subprocess.PIPE
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FIXED = {signal.SIGKILL, signal.SIGSTOP}  # nobody can change what these do


class Process(Protocol):
    """A process that was started here; each attribute and method is that of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    death_signal: signal.Signals,
    cwd: Path | None = None,
    stdin: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in its own session.

    Ctrl-C in a terminal therefore reaches only us, and we decide in which order programs end. No signal is ignored or
    blocked in the program at its start, even if our own caller (`nohup`, a script's background) ignores some.

    Args:
        command: The program and its arguments.
        env: Its whole environment.
        log: Its error output is appended to this file, and its standard output too unless `stdout` is given.
        death_signal: The signal that Linux sends it if we die without having stopped it.
        cwd: Its working directory; ours by default.
        stdin: What it reads: a file or PIPE; nothing by default.
        stdout: Where its standard output goes instead of the log: a file or PIPE.

    Raises:
        RuntimeError: The caller is not the main thread: Linux sends the signal when the starting *thread* ends.
        OSError: The program cannot be executed.
    """
    _require_main_thread()
    with log.open("ab") as log_file:
        return subprocess.Popen(  # noqa: S603 - the callers name the programs, no input of a user reaches them
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=log_file if stdout is None else stdout,
            stderr=log_file,
            start_new_session=True,
            preexec_fn=_setup(os.getpid(), death_signal),  # noqa: PLW1509 - it only makes system calls
        )


def _require_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("programs must be started from the main thread: they die with the thread that did")


def stop(processes: Iterable[tuple[Process, signal.Signals]], *, grace: float) -> None:
    """Send each process its signal, wait for all of them, and kill those that still run after `grace` seconds."""
    running = [(process, how) for process, how in processes if process.poll() is None]
    for process, how in running:
        process.send_signal(how)
    deadline = time.monotonic() + grace
    for process, _ in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            kill(process)


def kill(process: Process) -> None:
    """End a process and its process group at once, without a chance to clean up."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def succeeds(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> bool:
    """Whether a short command ends with status 0; its output is dropped."""
    outcome = subprocess.run(  # noqa: S603 - as in spawn
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return outcome.returncode == 0


def die_with_parent(death_signal: signal.Signals) -> None:
    """Make Linux send *this* process a signal when its parent dies; does nothing on other systems."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)


def _setup(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec: only system calls are safe there, so the rest is prepared here."""
    signals = signal.valid_signals() - _FIXED
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def setup() -> None:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return setup
