"""The product's programs, forked from a process that has loaded their modules already."""

import functools
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Final, Self

from devstack import process
from devstack.product import ROOT, isolated
from devstack.programs import Program
from tests.warm_start.server import LONGEST_ORDER, NUMBER

_KILLED: Final = -signal.SIGKILL


class WarmProcess:
    """A program that a `server` has forked. It is used like the `subprocess.Popen` of one that was started here."""

    stdin: None = None
    stdout: None = None

    def __init__(self, report: int) -> None:
        self._report = report
        self._lock = threading.Lock()
        self.returncode: int | None = None
        # The first number is the process id. Only a server that could not be loaded sends none.
        self.pid = self._read()

    def poll(self) -> int | None:
        """Its status if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; for the errors see `subprocess.Popen.wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        # In short steps, because a signal's handler may raise, and other threads may wait, too.
        while (status := self._ended(0.2 if deadline is None else min(0.2, deadline - time.monotonic()))) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._report], [], [], max(seconds, 0))[0]:
                self.returncode = self._read(at_the_end=_KILLED)
                os.close(self._report)
            return self.returncode

    def _read(self, at_the_end: int | None = None) -> int:
        read = os.read(self._report, NUMBER.size)
        if not read and at_the_end is not None:
            return at_the_end
        number: int = NUMBER.unpack(read)[0]
        return number


class WarmProgram(Program):
    """A program of the product that starts within a fraction of the time."""

    @classmethod
    def of(cls, program: Program) -> Self:
        """The same program, to be started so."""
        return cls(
            program.name,
            program.arguments,
            program.env,
            program.log,
            folder=program.folder,
            ready_url=program.ready_url,
        )

    def launch(self, *, stdin: IO[bytes] | int | None = None, stdout: IO[bytes] | int | None = None) -> process.Process:
        """See `Program.launch`."""
        if stdin is not None or isinstance(stdout, int) or not self._can_be_forked():
            return super().launch(stdin=stdin, stdout=stdout)
        self.process = _server().start(self, stdout)
        return self.process

    def _can_be_forked(self) -> bool:
        """Whether nothing is asked of the interpreter that it does only when it starts."""
        own = {name for name in self.env if name.startswith(("PYTHON", "LD_", "MALLOC_", "GLIBC_"))}
        return self.arguments[0] == "-m" and own == {"PYTHONPATH"} and self.env["PYTHONPATH"] == str(ROOT)


class _Server:
    """The process with the modules, for as long as we live."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_ORDER)
        self._lock = threading.Lock()
        folder = Path(tempfile.mkdtemp())
        with theirs:
            self._program = Program(
                "warm start", ("-m", "tests.warm_start.server"), isolated({}), folder / "log", folder=ROOT
            )
            self._program.launch(stdin=theirs.fileno())

    def start(self, program: Program, stdout: IO[bytes] | None) -> WarmProcess:
        """Fork a program."""
        order = {
            "module": program.arguments[1],
            "arguments": program.arguments[2:],
            "env": dict(program.env),
            "folder": str(program.folder or Path.cwd()),
        }
        report, reported = os.pipe()
        try:
            with program.log.open("ab") as log, self._lock:
                files = [reported, (stdout or log).fileno(), log.fileno()]
                socket.send_fds(self._orders, [json.dumps(order).encode()], files)
        finally:
            os.close(reported)
        return WarmProcess(report)


@functools.cache
def _server() -> _Server:
    return _Server()
