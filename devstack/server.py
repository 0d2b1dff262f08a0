import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from devstack import process
from devstack.errors import StartupError
from devstack.managed import ManagedProcess
from devstack.orphans import end_orphan
from devstack.ports import free_port

_ATTEMPTS = 10
_BETWEEN_ATTEMPTS = 0.3  # seconds
_POLL = 0.02
_READY_WITHIN = 120.0  # seconds; a large log may have to be replayed after a crash


class EmbeddedServer(ManagedProcess):
    """A server program that keeps its data in one folder and listens on one loopback port.

    Its folder belongs to one owner at a time: a server that still runs there when this one starts is what a killed
    owner left behind, and is ended. The port is chosen at the first start and kept from then on.
    """

    def __init__(
        self, name: str, folder: Path, *, log: Path, durable: bool, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Describe the server; nothing is started or written yet.

        Args:
            name: What it is called in messages.
            folder: Where its data are, or will be.
            log: The file its output is appended to.
            durable: Whether data survive a power failure. False is faster; a kill loses nothing either way.
            pause: Called with seconds while waiting; may raise in order to give up.
        """
        super().__init__(name, log)
        self.folder = folder
        self.durable = durable
        self.port: int | None = None
        self._pause = pause

    def start(self) -> None:
        """Start the server, on the port it had before if any, and wait until it answers.

        Raises:
            StartupError: It ended again and again, or did not become ready.
        """
        self.prepare()
        established = self.port
        for _ in range(_ATTEMPTS):
            self.port = established or free_port()
            if self._becomes_ready(self.launch()):
                return
            # Another program took the port meanwhile, or the last processes of a killed server still hold its memory.
            self._pause(_BETWEEN_ATTEMPTS)
        raise StartupError(self.name, "could not be started", self.log)

    def launch(self) -> process.Process:
        """Start the program on the known port without waiting until it answers."""
        if self.port is None:
            raise RuntimeError(f"{self.name} has no port before its first start")
        end_orphan(self.pid_file, argument=self.argument, how=self.stop_signal, pause=self._pause)
        self.process = self.spawn(self.port)
        return self.process

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, with the credentials."""

    @property
    @abstractmethod
    def pid_file(self) -> Path:
        """Where the server itself records its process id."""

    @property
    @abstractmethod
    def argument(self) -> str:
        """The argument on its command line that no other program has."""

    @abstractmethod
    def prepare(self) -> None:
        """Create what the server needs before its first start; does nothing later."""

    @abstractmethod
    def spawn(self, port: int) -> process.Process:
        """Start the program."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers clients."""

    def _becomes_ready(self, started: process.Process) -> bool:
        deadline = time.monotonic() + _READY_WITHIN
        while started.poll() is None:
            if self.is_ready():
                return True
            if time.monotonic() > deadline:
                raise StartupError(self.name, f"was not ready within {_READY_WITHIN:.0f} s", self.log)
            self._pause(_POLL)
        return False
