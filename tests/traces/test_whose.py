"""To which trace a span belongs, and whether it is recorded."""

import pytest

from app.core.outgoing import DIRECT
from app.core.span_names import SpanName
from app.core.tracing import begin_span, current, ending, spanning, traced_headers
from app.core.tracing_settings import SamplerName
from app.traces.otel import OtelTracer
from app.traces.sender import SpanSender

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def tracer(sampler: SamplerName = "parentbased_always_on", ratio: float = 1) -> OtelTracer:
    sender = SpanSender("http://127.0.0.1:1/v1/traces", {}, DIRECT)
    return OtelTracer(sender, service="tests", described={}, sampler=sampler, ratio=ratio)


@pytest.mark.parametrize(
    ("sampler", "ratio", "flags", "is_recorded"),
    [
        ("parentbased_always_on", 1, "01", True),
        ("parentbased_always_on", 1, "00", False),
        ("parentbased_always_on", 1, None, True),
        ("parentbased_always_off", 1, "01", True),
        ("parentbased_always_off", 1, None, False),
        ("parentbased_traceidratio", 0, "01", True),
        ("parentbased_traceidratio", 0, None, False),
        ("parentbased_traceidratio", 1, None, True),
        ("traceidratio", 0, "01", False),
        ("traceidratio", 1, "00", True),
        ("always_on", 0, "00", True),
        ("always_off", 1, "01", False),
    ],
)
def test_the_sampler_decides_whether_a_trace_is_recorded(
    sampler: SamplerName, ratio: float, flags: str | None, *, is_recorded: bool
) -> None:
    traceparent = flags and f"00-{TRACE}-{ABOVE}-{flags}"

    span = tracer(sampler, ratio).begin(SpanName.TURN, {}, traceparent=traceparent)

    assert (span is not None) == is_recorded
    if span is not None and flags is not None:
        assert span.traceparent.split("-")[1] == TRACE
        assert span.traceparent.split("-")[2] != ABOVE


def test_whoever_is_asked_within_a_span_is_told_of_it_and_nobody_outside() -> None:
    span = tracer().begin(SpanName.TURN, {}, traceparent=None)

    assert traced_headers() == {}
    with current(span):
        with spanning(SpanName.ADMIT) as below:
            assert below is not None
            assert traced_headers() == {"traceparent": below.traceparent}
        assert span is not None
        assert traced_headers() == {"traceparent": span.traceparent}
    assert traced_headers() == {}


def test_outside_of_a_span_nothing_is_recorded() -> None:
    with spanning(SpanName.ADMIT) as span:
        assert span is None
    assert begin_span(SpanName.ADMIT, {}) is None
    with ending(None) as nothing, current(None):
        assert nothing is None
