"""How a TCP connection finds out that its other side is gone without a word."""

import socket

# A connection without traffic is probed after 10 s, then every 5 s; it is lost if nothing comes back for 20 s.
IDLE_SECONDS, INTERVAL_SECONDS, COUNT = 10, 5, 3
USER_TIMEOUT_MS = 20_000

# Some systems lack some of them.
_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE_SECONDS),
    ("TCP_KEEPINTVL", INTERVAL_SECONDS),
    ("TCP_KEEPCNT", COUNT),
    ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
)


def tcp_options() -> dict[int, int]:
    """The socket options of TCP that this system has, with their values."""
    return {getattr(socket, name): value for name, value in _OPTIONS if hasattr(socket, name)}


def keep_alive(connected: socket.socket) -> None:
    """Have the kernel close the connection if its other side is gone. A Unix socket needs nothing."""
    if connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in tcp_options().items():
        connected.setsockopt(socket.IPPROTO_TCP, option, value)
