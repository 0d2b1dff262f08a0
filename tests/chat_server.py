"""A small chat model server of the kind that people run themselves, for programs that are tried with one."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass
class ChatServer:
    """What the server does, and what it was asked. All of it may be changed while it runs.

    Attributes:
        models: the models that it has, with what `/models` says of each besides.
        key: the key that it wants; none if it is empty.
        path: where its API begins.
        refusals: by model: status and message of every call.
        takes_tools: whether requests may have tools.
        date: the `Date` of its responses; none if it is empty.
        calls: the bodies of the calls that were run.
    """

    models: dict[str, dict[str, Any]] = field(default_factory=lambda: {"llama": {}})
    key: str = ""
    path: str = "/v1"
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    takes_tools: bool = True
    date: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    origin: str = ""

    @property
    def base_url(self) -> str:
        """Where its API begins, as a setting."""
        return f"{self.origin}{self.path}"

    def reply(self, path: str, authorization: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        """Status and JSON of the response to a request; the body is None for GET."""
        if path not in {f"{self.path}/models", f"{self.path}/chat/completions"}:
            return 404, {"detail": "Not Found"}
        if self.key and authorization != f"Bearer {self.key}":
            return 401, _error(f"Incorrect API key provided: {authorization.removeprefix('Bearer ')}")
        if body is None:
            return 200, {"object": "list", "data": [{"id": name, **more} for name, more in self.models.items()]}
        return self._complete(body)

    def _complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        model = body["model"]
        if model in self.refusals:
            status, message = self.refusals[model]
            return status, _error(message)
        if model not in self.models:
            return 404, _error(f"The model `{model}` does not exist.")
        if body.get("tools") and not self.takes_tools:
            return 400, _error(f"{model} does not support tools")
        self.calls.append(body)
        choice = {"index": 0, "message": {"role": "assistant", "content": "OK."}, "finish_reason": "stop"}
        return 200, {"id": "c-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]} | {
            "usage": USAGE
        }


@contextmanager
def chat_server(**properties: Any) -> Iterator[ChatServer]:
    """Run a server with these properties on this machine."""
    server = ChatServer(**properties)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(None)

        def do_POST(self) -> None:
            self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _respond(self, body: dict[str, Any] | None) -> None:
            status, value = server.reply(self.path, self.headers.get("Authorization", ""), body)
            content = json.dumps(value).encode()
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            self._send(status, headers | ({"Date": server.date} if server.date else {}), content)

        def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.origin = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}
