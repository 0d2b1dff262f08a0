import errno
import random
import socket

# Below the range from which Linux and macOS take the source ports of outgoing connections. A client that
# tries again and again to reach a restarting server in that range can take the port from it, or even
# connect to itself.
_LOWEST, _HIGHEST = 15_000, 32_000
_ATTEMPTS = 100


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port on which nothing listens. Another program may take it before it is used, so be ready to try another.

    Raises:
        OSError: No free port was found.
    """
    for _ in range(_ATTEMPTS):
        port = random.randint(_LOWEST, _HIGHEST)
        if is_free(host, port):
            return port
    raise OSError(f"found no free TCP port on {host} between {_LOWEST} and {_HIGHEST}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on this address now.

    Raises:
        OSError: The host is not an address of this machine, or this user may not use the port.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True
