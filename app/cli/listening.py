"""What Linux can tell of a listening socket, and how it takes no further connections while it is still open."""

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_SO_ATTACH_FILTER: Final = 26
# A classic BPF program on the TCP header: it drops segments with SYN and without ACK, and lets all others pass.
_LOAD_BYTE_13: Final = (0x30, 0, 0, 13)
_AND_SYN_ACK: Final = (0x54, 0, 0, 0x12)
_IF_SYN: Final = (0x15, 0, 1, 0x02)
_DROP: Final = (0x06, 0, 0, 0)
_PASS: Final = (0x06, 0, 0, 0xFFFFFFFF)
_PROGRAM: Final = b"".join(
    struct.pack("=HBBI", *instruction) for instruction in (_LOAD_BYTE_13, _AND_SYN_ACK, _IF_SYN, _DROP, _PASS)
)
_INSTRUCTIONS: Final = 5
# Where the kernel's `struct tcp_info` has `tcpi_unacked`: for a listening socket, how many connections wait.
_UNACKED: Final = slice(24, 28)


def refuse_new_connections(listening: int) -> None:
    """Drop the first segment of new connections to this TCP socket; clients repeat it a second later.

    Handshakes that have begun still complete. Does nothing on other systems than Linux, and where the system does not
    allow it, as some sandboxes do not.

    Args:
        listening: the file descriptor.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    with _socket(listening) as sock, suppress(OSError):
        sock.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", _INSTRUCTIONS, ctypes.addressof(program))
        )


def waiting_connections(listening: int) -> int:
    """How many connections to this TCP socket are complete and not accepted yet; 0 on other systems than Linux."""
    if sys.platform != "linux":
        return 0
    with _socket(listening) as sock:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
    return int.from_bytes(info[_UNACKED], sys.byteorder)


def stop_listening(listening: int) -> list[socket.socket]:
    """Accept the connections to this socket that wait, and refuse all further ones.

    Nothing happens between the two, so that a connection is lost only if it is made in these microseconds, and only if
    `refuse_new_connections` could not prevent it. The socket itself stays open.

    Args:
        listening: the file descriptor of a socket that does not block.
    """
    accepted: list[socket.socket] = []
    with _socket(listening) as sock, suppress(OSError):  # other systems than Linux do not know this use of `shutdown`
        while connection := _accept(sock):
            accepted.append(connection)
        sock.shutdown(socket.SHUT_RDWR)
    return accepted


def _accept(sock: socket.socket) -> socket.socket | None:
    while True:
        try:
            return sock.accept()[0]
        except ConnectionAbortedError:  # that client has left
            continue
        except OSError:  # none waits, or this process may have no more of them
            return None


@contextmanager
def _socket(descriptor: int) -> Iterator[socket.socket]:
    """The socket as Python's own object: that of the event loop has not all of its methods."""
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        yield sock
