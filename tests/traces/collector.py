"""A collector of traces: it takes what OTLP over HTTP brings, in protobuf."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from tests.waiting import wait_until


@dataclass(frozen=True)
class Seen:
    """A span as it came over the wire."""

    service: str
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    began_at: int
    ended_at: int
    attributes: dict[str, Any]
    events: tuple[str, ...]
    links: tuple[str, ...]
    has_failed: bool


@dataclass
class Collector:
    """What has been received. `status` is what it answers with, `rejected` how many spans it says not to take."""

    url: str = ""
    status: int = 200
    rejected: int = 0
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    spans: list[Seen] = field(default_factory=list)

    def trace(self, trace_id: str) -> list[Seen]:
        """The spans of one trace, in the order in which they began."""
        return sorted((span for span in [*self.spans] if span.trace_id == trace_id), key=lambda span: span.began_at)

    def until(self, trace_id: str, is_whole: Callable[[Sequence[Seen]], bool]) -> list[Seen]:
        """The spans of one trace, once it is whole."""
        wait_until(lambda: is_whole(self.trace(trace_id)))
        return self.trace(trace_id)

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        self.bodies.append(body)
        for of_service in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(of_service.resource.attributes)["service.name"]
            for of_scope in of_service.scope_spans:
                self.spans += [_seen(service, span) for span in of_scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector during the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            assert self.path == "/v1/traces"
            if collector.status == 200:
                collector.take(body)
            response = ExportTraceServiceResponse()
            response.partial_success.rejected_spans = collector.rejected
            answer = response.SerializeToString()
            self.send_response(collector.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            # One that is stopped by a test may have gone.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()


def _seen(service: str, span: WireSpan) -> Seen:
    return Seen(
        service=service,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        began_at=span.start_time_unix_nano,
        ended_at=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(event.name for event in span.events),
        links=tuple(link.span_id.hex() for link in span.links),
        has_failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _attributes(values: Iterable[KeyValue]) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in values}


def _value(value: AnyValue) -> Any:
    if value.HasField("array_value"):
        return [_value(each) for each in value.array_value.values]
    return getattr(value, value.WhichOneof("value") or "string_value")
