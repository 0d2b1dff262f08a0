"""What the kernel holds for a listening socket whose process stops; real sockets of this machine."""

import socket
import sys
from collections.abc import Iterator

import pytest

from app.cli.listening import refuse_new_connections, stop_listening, waiting_connections
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can filter a listening socket")


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as sock:
        sock.bind(("127.0.0.1" if request.param == socket.AF_INET else "::1", 0))
        sock.listen(10)
        yield sock


def begin(listening: socket.socket) -> socket.socket:
    """A connection that is asked for, and not waited for."""
    client = socket.socket(listening.family)
    client.setblocking(False)
    client.connect_ex(listening.getsockname())
    return client


def test_connections_that_wait_are_counted(listening: socket.socket) -> None:
    assert waiting_connections(listening.fileno()) == 0
    with begin(listening), begin(listening):
        wait_until(lambda: waiting_connections(listening.fileno()) == 2)
        listening.accept()[0].close()
        assert waiting_connections(listening.fileno()) == 1


def test_no_connection_is_added_and_none_is_lost(listening: socket.socket) -> None:
    with begin(listening) as before:
        wait_until(lambda: waiting_connections(listening.fileno()) == 1)
        refuse_new_connections(listening.fileno())
        with begin(listening) as after:
            accepted, peer = listening.accept()
            listening.close()

            # The one is served over the connection that it has; the other was never told that it had one.
            assert peer[:2] == before.getsockname()[:2]
            accepted.sendall(b"served")
            before.setblocking(True)
            assert before.recv(10) == b"served"
            accepted.close()
            with pytest.raises(OSError, match="not connected"):
                after.getpeername()


def test_a_system_that_allows_no_filter_is_no_fault(listening: socket.socket) -> None:
    """Containers may lack the right. A filter that is locked is refused in the same way."""
    refuse_new_connections(listening.fileno())
    listening.setsockopt(socket.SOL_SOCKET, 44, 1)  # SO_LOCK_FILTER

    refuse_new_connections(listening.fileno())


def test_those_who_wait_are_accepted_and_those_who_come_after_are_refused(listening: socket.socket) -> None:
    listening.setblocking(False)
    with begin(listening) as first, begin(listening) as second:
        wait_until(lambda: waiting_connections(listening.fileno()) == 2)

        accepted = stop_listening(listening.fileno())

        with socket.socket(listening.family) as late, pytest.raises(ConnectionRefusedError):
            late.connect(listening.getsockname())
        listening.close()
        assert sorted(connection.getpeername() for connection in accepted) == sorted(
            client.getsockname() for client in (first, second)
        )
        for connection in accepted:
            connection.sendall(b"served")
            connection.close()
        for client in (first, second):
            client.setblocking(True)
            assert client.recv(10) == b"served"
