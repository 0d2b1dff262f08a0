"""The sockets that the server listens on: one for each address of its host."""

import errno
import socket
from contextlib import ExitStack

from app.cli.reporting import CommandFailedError

_EVERY_ADDRESS = "::"
# A name may have an address of a kind that this machine does not use.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(host: str, port: int) -> list[socket.socket]:
    """Take the port on every address of the host. `::` means all addresses of the machine, of IPv4 as well.

    Args:
        host: an address or a name.
        port: 0 takes a free one, the same on every address.

    Raises:
        CommandFailedError: another program has the port, or the host is none of this machine.
    """
    try:
        return _bind(host, port)
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        raise CommandFailedError(f"Cannot listen on {shown}:{port}: {error.strerror or error}") from error


def _bind(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    with ExitStack() as closing:
        for family, address in dict.fromkeys((family, address[:2]) for family, _, _, _, address in found):
            try:
                sock = _bind_one(family, (str(address[0]), port))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
                continue
            port = sock.getsockname()[1]
            sockets.append(closing.enter_context(sock))
        if missing and not sockets:
            raise missing
        closing.pop_all()
    return sockets


def _bind_one(family: int, address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != _EVERY_ADDRESS))
        sock.bind(address)
    except BaseException:  # raised again
        sock.close()
        raise
    return sock
