"""Traces, as the rest of the code sees them: spans that are within each other.

A span is recorded only within another one. The first span of a request, and of a worker's step, is begun by the tracer,
which there is only if the operator has asked for traces. Without one, OpenTelemetry's SDK is not loaded, and each call
below costs a look at a context variable.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeAlias

from app.core.addresses import http_address_of
from app.core.errors import AppError
from app.core.span_names import Attribute, SpanEvent, SpanName

Value: TypeAlias = str | int | float | bool | Sequence[str]
# What is None is left out.
Attributes: TypeAlias = Mapping[Attribute, Value | None]


class Span(Protocol):
    """A span that is recorded."""

    @property
    def traceparent(self) -> str:
        """Its W3C trace context, for whoever goes on with the trace."""
        ...

    def begin(self, name: SpanName, attributes: Attributes, named: Mapping[str, str]) -> "Span | None":
        """Begin a span within this one. `named` are the parts of its name."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Say this of it, too."""
        ...

    def note(self, event: SpanEvent) -> None:
        """Note that this happens now."""
        ...

    def fail(self, error_type: str) -> None:
        """Say that it has failed. `error_type` has few values: a code, a status, the name of a class."""
        ...

    def end(self, **named: str) -> None:
        """End it. Parts of its name that were not known when it began may be given here."""
        ...


class Tracer(Protocol):
    """Begins the first span of what this process does for a request."""

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
        """Begin a span.

        Args:
            name: its name.
            attributes: what is said of it.
            traceparent: the W3C trace context that it belongs to; None: it begins a trace.
            named: the parts of its name.
            began_at: in nanoseconds since 1970; None: now.
            cause: a span of another trace that has led to it.

        Returns:
            None if the trace is not recorded.
        """
        ...

    def sending(self) -> AbstractAsyncContextManager[None]:
        """Send what is recorded, in the background, for as long as the block runs; at its end, what is left."""
        ...


span_var: ContextVar[Span | None] = ContextVar("span", default=None)


def begin_span(name: SpanName, attributes: Attributes, **named: str) -> Span | None:
    """Begin a span within the current one, whoever ends it; None if there is none."""
    above = span_var.get()
    return None if above is None else above.begin(name, attributes, named)


@contextmanager
def current(span: Span | None) -> Iterator[None]:
    """Have what the block begins be within the span. Does nothing with None."""
    if span is None:
        yield
        return
    token = span_var.set(span)
    try:
        yield
    finally:
        span_var.reset(token)


@contextmanager
def ending(span: Span | None) -> Iterator[Span | None]:
    """End the span with the block, which is within it. If the block fails, so has the span."""
    if span is None:
        yield None
        return
    try:
        with current(span):
            yield span
    except BaseException as error:  # raised again
        span.fail(error_type_of(error))
        raise
    finally:
        span.end()


@contextmanager
def spanning(name: SpanName, attributes: Attributes | None = None, **named: str) -> Iterator[Span | None]:
    """A span of what the block does, within the current one; None if there is none."""
    above = span_var.get()
    if above is None:
        yield None
        return
    with ending(above.begin(name, attributes or {}, named)) as span:
        yield span


def traced_headers() -> dict[str, str]:
    """The headers by which whoever is asked now can go on with the trace; none if there is no trace."""
    span = span_var.get()
    return {} if span is None else {"traceparent": span.traceparent}


def say_asked(span: Span | None, method: str, url: str) -> None:
    """Say of a span which server is asked. Nothing else of the URL is said: it may have passwords or signatures."""
    if span is not None:
        host, _, port = http_address_of(url).rpartition(":")
        span.set({Attribute.HTTP_METHOD: method, Attribute.SERVER_ADDRESS: host, Attribute.SERVER_PORT: int(port)})


def say_status(span: Span | None, status: int) -> None:
    """Say of a span with which status the server has responded."""
    if span is not None:
        span.set({Attribute.HTTP_STATUS: status})
        if status >= 400:
            span.fail(str(status))


def error_type_of(error: BaseException) -> str:
    """What traces say of an error: never its text, which may be somebody's."""
    if isinstance(error, AppError):
        return error.code
    return "cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__name__
