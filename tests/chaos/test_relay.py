"""A relay changes the server behind an address, and spoils connections in each of its moods."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from chaos.relay import Mood, Relay, relaying

BODY = b"x" * 20_000


@contextmanager
def server(name: str) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = name.encode() if self.path == "/" else BODY
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.daemon_threads = True
        thread = Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield serving.server_port
        finally:
            serving.shutdown()
            thread.join()


@contextmanager
def connected(relay: Relay) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", relay.port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def get(connection: HTTPConnection, path: str = "/") -> tuple[int, bytes]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def test_new_connections_reach_the_new_server_and_old_ones_stay() -> None:
    with (
        server("first") as first,
        server("second") as second,
        relaying(first) as relay,
        connected(relay) as old,
        connected(relay) as new,
    ):
        assert get(old) == (200, b"first")
        relay.lead_to(second)

        assert get(new) == (200, b"second")
        assert get(old) == (200, b"first")


def test_a_refusing_relay_answers_503() -> None:
    with server("first") as port, relaying(port) as relay:
        relay.be(Mood.REFUSING)
        with connected(relay) as connection:
            assert get(connection)[0] == 503
        relay.be(Mood.FAITHFUL)
        with connected(relay) as connection:
            assert get(connection) == (200, b"first")
        assert relay.spoiled == 1


def test_a_dropping_relay_closes_connections_in_mid_transfer() -> None:
    with server("first") as port, relaying(port) as relay:
        relay.be(Mood.DROPPING)
        with connected(relay) as connection, pytest.raises((IncompleteRead, ConnectionError, RemoteDisconnected)):
            get(connection, "/body")
        assert relay.spoiled == 1


def test_a_slow_relay_delivers_everything() -> None:
    with server("first") as port, relaying(port) as relay:
        relay.be(Mood.SLOW)
        with connected(relay) as connection:
            assert get(connection, "/body") == (200, BODY)
        assert relay.spoiled > 1


def test_the_address_is_free_after_the_end() -> None:
    with server("first") as port, relaying(port) as relay:
        pass

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", relay.port), timeout=5)
