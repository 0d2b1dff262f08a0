"""Spans by OpenTelemetry's SDK. Loaded only by processes that are asked for traces."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from app.core.crypto import random_token
from app.core.span_names import Attribute, Kind, SpanEvent, SpanName
from app.core.traceparent import is_traceparent
from app.core.tracing import Attributes, Span
from app.core.tracing_settings import SamplerName
from app.traces.sender import SpanSender

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
    "consumer": SpanKind.CONSUMER,
}
# Of values that operators choose, such as the names of agents, and of what vendors call theirs.
_LONGEST_VALUE = 200
_LONGEST_NAME = 200


class OtelSpan:
    """A span that is recorded; see `Span`."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span, name: SpanName, named: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._span = span
        self._name = name
        self._named = named
        context = span.get_span_context()
        self.context = context
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def begin(self, name: SpanName, attributes: Attributes, named: Mapping[str, str]) -> Span | None:
        """See `Span.begin`."""
        within = trace.set_span_in_context(self._span, Context())
        return _begun(self._tracer, within, name, attributes, named)

    def set(self, attributes: Attributes) -> None:
        """See `Span.set`."""
        self._span.set_attributes(_known(attributes))

    def note(self, event: SpanEvent) -> None:
        """See `Span.note`."""
        self._span.add_event(event.value)

    def fail(self, error_type: str) -> None:
        """See `Span.fail`."""
        self.set({Attribute.ERROR_TYPE: error_type})
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, **named: str) -> None:
        """See `Span.end`."""
        if named:
            self._span.update_name(_name_of(self._name, {**self._named, **named}))
        self._span.end()


class OtelTracer:
    """Begins spans, and hands those that have ended to the sender; see `Tracer`."""

    def __init__(
        self, sender: SpanSender, *, service: str, described: Mapping[str, str], sampler: SamplerName, ratio: float
    ) -> None:
        self._sender = sender
        # Not `Resource.create`: what it finds out by itself can be the command line.
        resource = Resource(
            {
                "service.instance.id": random_token(),
                **described,
                "service.name": service,
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
            }
        )
        provider = TracerProvider(
            sampler=_sampler(sampler, ratio),
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=_LONGEST_VALUE),
        )
        provider.add_span_processor(sender)
        self._tracer = provider.get_tracer("junis")

    def begin(
        self,
        name: SpanName,
        attributes: Attributes,
        *,
        traceparent: str | None,
        named: Mapping[str, str] | None = None,
        began_at: int | None = None,
        cause: Span | None = None,
    ) -> Span | None:
        """See `Tracer.begin`."""
        links = [Link(cause.context)] if isinstance(cause, OtelSpan) else []
        return _begun(self._tracer, _context_of(traceparent), name, attributes, named or {}, began_at, links)

    def sending(self) -> AbstractAsyncContextManager[None]:
        """See `Tracer.sending`."""
        return self._sender.sending()


def _begun(
    tracer: trace.Tracer,
    context: Context,
    name: SpanName,
    attributes: Attributes,
    named: Mapping[str, str],
    began_at: int | None = None,
    links: Sequence[Link] = (),
) -> Span | None:
    span = tracer.start_span(
        _name_of(name, named),
        context,
        _KINDS[name.kind],
        _known(attributes),
        links,
        began_at or time.time_ns(),
        record_exception=False,
        set_status_on_exception=False,
    )
    return OtelSpan(tracer, span, name, named) if isinstance(span, SdkSpan) and span.is_recording() else None


def _name_of(name: SpanName, named: Mapping[str, str]) -> str:
    return name.pattern.format_map({**_UNNAMED, **named})[:_LONGEST_NAME].strip()


# A request has no route before it has been led to one.
_UNNAMED: Final = {"route": ""}


def _known(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name.value: value for name, value in attributes.items() if value is not None}


def _context_of(traceparent: str | None) -> Context:
    """What a span within this trace context begins in. Nothing that another library has made current is in it."""
    if traceparent is None or not is_traceparent(traceparent):
        return Context()
    _, trace_id, span_id, flags = traceparent.split("-")
    above = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(NonRecordingSpan(above), Context())


def _sampler(name: SamplerName, ratio: float) -> Sampler:
    match name:
        case "always_on":
            return ALWAYS_ON
        case "always_off":
            return ALWAYS_OFF
        case "traceidratio":
            return TraceIdRatioBased(ratio)
        case "parentbased_always_on":
            return DEFAULT_ON
        case "parentbased_always_off":
            return DEFAULT_OFF
        case "parentbased_traceidratio":
            return ParentBasedTraceIdRatio(ratio)
