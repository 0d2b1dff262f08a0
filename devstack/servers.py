import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.managed import stop_all
from devstack.postgres import Postgres
from devstack.valkey import Valkey


class EmbeddedServers:
    """A Postgres and a Valkey of our own, with their data and logs in one folder.

    The folder belongs to one owner at a time. Use it from the main thread:

        with EmbeddedServers(folder, durable=False) as servers:
            connect(servers.database_url, servers.redis_url)
    """

    def __init__(self, root: Path, *, durable: bool, pause: Callable[[float], None] = time.sleep) -> None:
        """Describe both servers; see EmbeddedServer for the arguments."""
        self._root = root.resolve()
        logs = self._root / "logs"
        self.postgres = Postgres(self._root / "postgres", log=logs / "postgres.log", durable=durable, pause=pause)
        self.valkey = Valkey(self._root / "valkey", log=logs / "valkey.log", durable=durable, pause=pause)

    @property
    def database_url(self) -> str:
        """The database `junis` as the superuser."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """Database 0 of Valkey."""
        return self.valkey.url

    def start(self) -> None:
        """Start both and wait until both answer.

        Raises:
            StartupError: One of them could not be started; the other may be running.
        """
        self.postgres.log.parent.mkdir(parents=True, exist_ok=True)
        self.valkey.start()
        self.postgres.start()

    def stop(self, *, grace: float = 10.0) -> None:
        """Stop both in an orderly way; kill what still runs after `grace` seconds."""
        stop_all(self.valkey, self.postgres, grace=grace)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # raised again
            self.stop()
            raise
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
