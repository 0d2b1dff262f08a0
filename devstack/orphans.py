"""Servers that an earlier owner left running when it was killed."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE = 10.0  # seconds; a Postgres writes its last checkpoint meanwhile
_POLL = 0.02


def recorded_pid(pid_file: Path) -> int | None:
    """The process id in the first line of a server's pid file; None without a usable one."""
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def end_orphan(
    pid_file: Path, *, argument: str, how: signal.Signals, pause: Callable[[float], None] = time.sleep
) -> None:
    """End the server that a pid file names, if it still runs, and wait until it is gone.

    A pid file survives a crash, and its number may belong to another program by now. The process is ours only if
    `argument`, the path it was started with, is in its command line; any other process is left alone.
    """
    pid = recorded_pid(pid_file)
    if pid is None or not _runs_with(pid, argument):
        return
    _signal(pid, how)
    deadline = time.monotonic() + _PATIENCE
    while _runs_with(pid, argument):
        if time.monotonic() > deadline:
            _signal(pid, signal.SIGKILL)
        pause(_POLL)


def _runs_with(pid: int, argument: str) -> bool:
    return f" {argument} " in f" {_command_line(pid)} "


def _command_line(pid: int) -> str:
    """The arguments of a process, joined by blanks; empty once it has ended, reaped or not."""
    if Path("/proc/self/cmdline").exists():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
        except OSError:
            return ""
        return os.fsdecode(arguments.replace(b"\0", b" "))
    command = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]  # macOS
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - fixed


def _signal(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may end by itself just now
        os.kill(pid, how)
