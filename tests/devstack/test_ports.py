import socket
from pathlib import Path

import pytest

from devstack.ports import free_port, is_free


def test_it_is_possible_to_listen_on_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert not is_free("127.0.0.1", server.getsockname()[1])


def test_a_free_port_is_not_given_to_outgoing_connections() -> None:
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())

    assert not any(lowest <= free_port() <= highest for _ in range(50))


def test_a_port_in_use_on_one_address_counts_as_in_use_on_all() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert not is_free("0.0.0.0", server.getsockname()[1])  # noqa: S104 - for a moment


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        is_free("192.0.2.1", 8000)
