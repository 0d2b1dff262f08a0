"""A name server for one name, as Docker runs one for the containers of a service."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_A, _IN = 1, 1
_POINTER_TO_QUESTION = 0xC00C


@contextmanager
def name_server(addresses: list[str]) -> Iterator[int]:
    """Answer every question for addresses with these, as the list is at that moment; yields the UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(sock, addresses), daemon=True)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            sock.sendto(b"", sock.getsockname())  # an empty message ends the thread
            thread.join()


def _serve(sock: socket.socket, addresses: list[str]) -> None:
    while True:
        question, client = sock.recvfrom(512)
        if not question:
            return
        sock.sendto(_answer(question, addresses), client)


def _answer(question: bytes, addresses: list[str]) -> bytes:
    end = question.index(b"\0", 12) + 5
    (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
    found = addresses if kind == _A else []
    records = [
        struct.pack("!HHHIH", _POINTER_TO_QUESTION, _A, _IN, 0, 4) + socket.inet_aton(address) for address in found
    ]
    header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0)
    return header + question[12:end] + b"".join(records)
