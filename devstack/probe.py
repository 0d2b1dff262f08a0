import socket
from urllib.parse import urlsplit

_ANSWER_WITHIN = 2.0  # seconds


def answers_ok(url: str) -> bool:
    """Whether GET of `http://host:port/path` returns status 200. Proxy settings are ignored."""
    target = urlsplit(url)
    request = f"GET {target.path} HTTP/1.0\r\nHost: {target.netloc}\r\n\r\n"
    try:
        with socket.create_connection((target.hostname, target.port), timeout=_ANSWER_WITHIN) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return answer.readline().split()[1:2] == [b"200"]
    except OSError:
        return False
