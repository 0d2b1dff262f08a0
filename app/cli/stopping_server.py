import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, cast

import uvicorn

from app.cli.garbage import freeze_garbage
from app.cli.listening import refuse_new_connections, stop_listening, waiting_connections
from app.core.early_stop import STOP_SIGNALS

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05
# For handshakes that had begun, which the kernel completes, and for the first bytes of connections that are new.
_SETTLING_SECONDS: Final = 0.2
_LONGEST_SETTLING_SECONDS: Final = 2.0


class StoppingServer(uvicorn.Server):
    """Stops in an order in which no request is lost.

    First `/readyz` says that the process is stopping, while it still responds to everything; then it takes no new
    connections, but those that were on their way; then turns may go on for the grace period, and are ended while their
    requests are open, so that every client gets a response or an error.

    A second signal ends the delay and the grace period at once, and a third one does not even wait for turns to be
    stored. SIGINT comes from a person at a terminal, who has no proxy to wait for: it has no delay.
    """

    def __init__(self, config: uvicorn.Config, *, delay_seconds: float, grace_seconds: float) -> None:
        super().__init__(config)
        self._delay_seconds = delay_seconds
        self._grace_seconds = grace_seconds
        self._signals = 0
        self._out_of_rotation_at: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `startup`. Uvicorn would raise them again at the end, and the process would fail."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve. Until then a signal ends the process at once: nothing has begun that must end in order."""
        await super().startup(sockets)
        addresses = [sock.getsockname()[:2] for sock in sockets or ()]
        logger.info("listening", extra={"addresses": [f"{host}:{port}" for host, port in addresses]})
        freeze_garbage()
        for name in STOP_SIGNALS:
            signal.signal(name, self.handle_exit)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler gets it
        """Note that the process is asked to stop, or to do so sooner."""
        self._signals += 1
        self.should_exit = True
        self.force_exit = self._signals > 2
        if sig == signal.SIGINT:
            self._delay_seconds = 0

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop serving. Uvicorn asks ten times a second."""
        if not await super().on_tick(counter):
            return False
        if self._out_of_rotation_at is None:
            self._out_of_rotation_at = time.monotonic()
            self._leave_rotation()
        return self._is_hurried or time.monotonic() >= self._out_of_rotation_at + self._delay_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening without losing a connection, and wait for the open requests."""
        await self._take_last_connections()
        ending = asyncio.create_task(self._end_turns())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    @property
    def _is_hurried(self) -> bool:
        return self._signals > 1

    def _leave_rotation(self) -> None:
        """Have `/readyz` say so, and every response close its connection: its client opens the next one elsewhere."""
        logger.info("stopping", extra={"delay_seconds": self._delay_seconds, "grace_seconds": self._grace_seconds})
        self.config.loaded_app.state.is_stopping = True
        closing = (b"connection", b"close")
        self.config.encoded_headers.append(closing)
        # Those of requests that are open, too: they have this list, or an older one of the last seconds.
        self.server_state.default_headers.append(closing)
        for connection in self.server_state.connections:
            if _is_responding(connection):
                connection.shutdown()

    async def _take_last_connections(self) -> None:
        """Accept what the kernel has already accepted for us, and read the requests of connections that are new.

        Closing the socket would reset the former, closing a connection the latter.
        """
        listening = [sock for server in self.servers for sock in server.sockets]
        for sock in listening:
            refuse_new_connections(sock.fileno())
        await self._wait_until_calm(listening)
        # If they could not be refused, they have kept coming.
        last = [connection for sock in listening for connection in stop_listening(sock.fileno())]
        for server in self.servers:
            server.close()
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await self._wait_until_calm([])

    def _protocol(self) -> asyncio.Protocol:
        """What uvicorn makes for each connection that it accepts."""
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _wait_until_calm(self, listening: Sequence[socket.socket]) -> None:
        """Wait until for a moment no connection has waited to be accepted, and none to be read for the first time."""
        began = calm_since = time.monotonic()
        while not self._is_hurried and time.monotonic() < began + _LONGEST_SETTLING_SECONDS:
            if any(waiting_connections(sock.fileno()) for sock in listening) or self._has_silent_connections():
                calm_since = time.monotonic()
            if time.monotonic() >= calm_since + _SETTLING_SECONDS:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _has_silent_connections(self) -> bool:
        return any(getattr(connection, "cycle", None) is None for connection in self.server_state.connections)

    async def _end_turns(self) -> None:
        end_at = time.monotonic() + self._grace_seconds
        while not self._is_hurried and time.monotonic() < end_at:  # noqa: ASYNC110 - a signal handler can set no event
            await asyncio.sleep(_LOOK_SECONDS)
        # Uvicorn has loaded it by now. No command imports the web application itself.
        state = self.config.loaded_app.state
        await asyncio.gather(state.turns.drain(), state.embeddings.drain())


def _is_responding(connection: object) -> bool:
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete
