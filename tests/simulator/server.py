"""A simulator and a receiver of webhooks, each in its own thread behind a real socket."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson

from simulator.config import SimulatorConfig
from simulator.main import create_server
from tests.waiting import PATIENCE, wait_until


@dataclass
class RunningSimulator:
    """A simulator's address and controls."""

    url: str
    http: httpx.Client

    def log(self, kind: str, *, since: int = 0) -> list[dict[str, Any]]:
        response = self.http.get("/_sim/log", params={"kind": kind, "since": since})
        entries: list[dict[str, Any]] = response.raise_for_status().json()["entries"]
        return entries

    def skip(self, seconds: float) -> None:
        self.http.post("/_sim/clock", json={"skip": seconds}).raise_for_status()

    def order(self, fault: str, *, times: int | None = None, **match: object) -> None:
        rule = {"fault": fault, "match": match, "times": times}
        self.http.post("/_sim/faults", json=[rule]).raise_for_status()

    def create(self, model: str, headers: dict[str, str] | None = None, **values: object) -> httpx.Response:
        """Create a prediction without an SDK; arguments named `webhook...` are not part of the input."""
        options = {name: values.pop(name) for name in list(values) if name.startswith("webhook")}
        body = {"version": model, "input": {"prompt": "a boat", **values}, **options}
        return self.http.post("/replicate/v1/predictions", json=body, headers=headers)

    def read(self, prediction_id: str) -> dict[str, Any]:
        response = self.http.get(f"/replicate/v1/predictions/{prediction_id}")
        document: dict[str, Any] = response.raise_for_status().json()
        return document

    def run(self, model: str, **values: object) -> dict[str, Any]:
        """Create a prediction and move the clock to its end."""
        created = self.create(model, None, **values).raise_for_status().json()
        self.skip(120)
        return self.read(created["id"])


@contextmanager
def running_simulator(config: SimulatorConfig) -> Iterator[RunningSimulator]:
    server = create_server(config, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer r8_test"}, timeout=PATIENCE) as http:
            yield RunningSimulator(url, http)
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Received:
    """A webhook as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(self.body)
        return document


@dataclass
class WebhookReceiver:
    """Receives webhooks; responds with the `statuses` first, in order, then with 200."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def wait_for(self, count: int) -> list[Received]:
        wait_until(lambda: len(self.received) >= count)
        return self.received


@contextmanager
def webhook_receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # named by the base class
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/webhook"
        yield receiver
        server.shutdown()
        thread.join()
