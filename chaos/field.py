"""What can be struck: the running product and the servers that it uses."""

import os
import re
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from chaos.plant import Plant
from chaos.stores import Store
from chaos.strikes import APIS, POSTGRES, STORE, VALKEY, WORKERS, Blow, Kind
from chaos.valkeys import ValkeyPair
from devstack.managed import ManagedProcess
from devstack.orphans import recorded_pid

_BACKEND = re.compile(rb"postgres: \S+ \S+ [\d.]+\(\d+\)")
# A worker that starts while its store is not there ends a moment later.
_STORE_ECHO_SECONDS = 5.0


class Field:
    """Carries out strikes, and starts again what has ended by itself.

    Attributes:
        ended: Each program that ended although nobody had killed it and its store was there.
    """

    def __init__(self, plant: Plant, valkeys: ValkeyPair, store: Store) -> None:
        self.ended: list[str] = []
        self._plant = plant
        self._valkeys = valkeys
        self._store = store
        self._down: set[str] = set()
        self._asleep: set[int] = set()
        self._store_failed_at: float | None = None

    def strike(self, kind: Kind) -> Callable[[], None]:
        """Carry out a strike; returns what takes it back."""
        if kind.victim == STORE:
            self._store_failed_at = monotonic()
            self._store.strike(kind.blow)
            return self._heal_store
        if kind.blow is Blow.KILL:
            return self._kill(kind.victim)
        if kind.blow in {Blow.SLEEP, Blow.LONG_SLEEP}:
            return self._put_to_sleep(kind.victim)
        if kind.blow is Blow.FLUSH:
            self._valkeys.flush()
        else:
            self._valkeys.demote()
        return lambda: None

    def revive(self) -> None:
        """Start again what has ended by itself, as a supervisor would."""
        for name in (*APIS, *WORKERS):
            if name not in self._down and not self._plant.is_alive(name):
                failed_at = self._store_failed_at
                if failed_at is None or monotonic() > failed_at + _STORE_ECHO_SECONDS:
                    self.ended.append(name)
                self._plant.start(name)

    def heal(self) -> None:
        """Let everything that sleeps go on, and the store work; start nothing."""
        self._wake(self._asleep)
        self._store.heal()

    def _heal_store(self) -> None:
        self._store.heal()
        self._store_failed_at = monotonic()

    def _kill(self, victim: str) -> Callable[[], None]:
        process = self._process(victim)
        self._down.add(victim)
        process.kill()

        def start() -> None:
            # A server is started until it answers. A program may take longer, and clients find out.
            if victim in {POSTGRES, VALKEY}:
                process.start()
            else:
                process.launch()
            self._down.remove(victim)

        return start

    def _put_to_sleep(self, victim: str) -> Callable[[], None]:
        pids = backends_of(self._plant) if victim == POSTGRES else [self._process(victim).pid]
        for pid in pids:
            self._asleep.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return lambda: self._wake(pids)

    def _wake(self, pids: Iterable[int]) -> None:
        for pid in list(pids):
            self._asleep.discard(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _process(self, victim: str) -> ManagedProcess:
        if victim == VALKEY:
            return self._valkeys.leader
        return self._plant.servers[victim] if victim == POSTGRES else self._plant.programs[victim]


def backends_of(plant: Plant) -> list[int]:
    """The process ids of the Postgres processes that serve a client."""
    parent = recorded_pid(plant.servers[POSTGRES].pid_file)
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in found if _BACKEND.match(_command(pid))]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
