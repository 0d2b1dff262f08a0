"""Starting programs that cannot outlive us, and ending them in an orderly way."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

Process = subprocess.Popen[bytes]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    death_signal: signal.Signals,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> Process:
    """Start a program in a session of its own.

    A terminal's Ctrl-C therefore reaches only us, and we decide in which order programs end. Should we be
    killed, Linux sends the program `death_signal`.

    Args:
        command: The program and its arguments.
        env: Its whole environment.
        log: Where its error output goes, and its standard output unless `stdout` is given; appended to.
        death_signal: What it is sent when we die without having stopped it.
        cwd: Its working directory; ours when left out.
        stdin: What it reads; nothing when left out.
        stdout: Where its standard output goes instead of the log.

    Raises:
        RuntimeError: The caller is not the main thread. Linux sends the signal when the starting *thread* ends.
        OSError: The program cannot be executed.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("programs must be started from the main thread: they die with the thread that did")
    with log.open("ab") as log_file:
        return subprocess.Popen(  # noqa: S603 - the callers name the programs, no input of a user reaches them
            command,
            env=dict(env),
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or log_file,
            stderr=log_file,
            start_new_session=True,
            preexec_fn=_bind_to_parent(os.getpid(), death_signal),  # noqa: PLW1509 - it only makes system calls
        )


def stop(processes: Iterable[tuple[Process, signal.Signals]], *, grace: float) -> None:
    """Send each process its signal, wait for all of them, and kill what is left after `grace` seconds."""
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
    """End a process and its group at once, without a chance to tidy up."""
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
    """Have Linux send *this* process a signal when its parent dies; does nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)


def _bind_to_parent(parent: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork: after it, only async-signal-safe work is safe

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return bind
