"""What happens to spans that have ended, whatever the collector does. Nothing waits for it."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from time import monotonic

import pytest
from prometheus_client import REGISTRY

from app.core.outgoing import DIRECT
from app.core.span_names import SpanName
from app.traces.otel import OtelTracer
from app.traces.sender import SpanSender
from tests.traces.collector import Collector, collecting
from tests.waiting import PATIENCE, until


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as opened:
        yield opened


def tracer_to(url: str, *, last_seconds: float = PATIENCE) -> OtelTracer:
    sender = SpanSender(f"{url}/v1/traces", {"x-key": "secret"}, DIRECT, pause_seconds=0.02, last_seconds=last_seconds)
    return OtelTracer(sender, service="tests", described={}, sampler="always_on", ratio=1)


def end_spans(tracer: OtelTracer, count: int) -> None:
    for _ in range(count):
        span = tracer.begin(SpanName.TURN, {}, traceparent=None)
        assert span is not None
        span.end()


class Counted:
    """How many spans were sent and dropped since then."""

    def __init__(self) -> None:
        self._before = self._now()

    def since(self) -> dict[str, int]:
        now = self._now()
        return {name: round(now[name] - self._before[name]) for name in now}

    def _now(self) -> dict[str, float]:
        name = "junis_trace_spans_total"
        return {result: REGISTRY.get_sample_value(name, {"result": result}) or 0 for result in ("sent", "dropped")}


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == "spans_dropped"]


async def test_spans_are_sent_in_the_background_and_the_last_ones_at_the_end(collector: Collector) -> None:
    tracer, counted = tracer_to(collector.url), Counted()

    async with tracer.sending():
        end_spans(tracer, 3)
        await until(lambda: _is(len(collector.spans) == 3))
        end_spans(tracer, 2)

    assert len(collector.spans) == 5
    assert counted.since() == {"sent": 5, "dropped": 0}


async def test_many_are_sent_in_batches(collector: Collector) -> None:
    tracer = tracer_to(collector.url)

    async with tracer.sending():
        end_spans(tracer, 1200)

    assert len(collector.spans) == 1200
    assert len(collector.bodies) == 3


@pytest.mark.parametrize(("status", "tries"), [(503, 3), (400, 1), (401, 1), (302, 1)])
async def test_what_is_refused_is_dropped_and_counted(
    collector: Collector, caplog: pytest.LogCaptureFixture, status: int, tries: int
) -> None:
    collector.status = status
    tracer, counted = tracer_to(collector.url), Counted()

    async with tracer.sending():
        end_spans(tracer, 4)
        await until(lambda: _is(counted.since()["dropped"] == 4))
        end_spans(tracer, 1)
        collector.status = 200

    assert len(collector.headers) == tries + 1
    assert counted.since() == {"sent": 1, "dropped": 4}
    [line] = lines(caplog)
    assert (vars(line)["dropped"], vars(line)["reason"]) == (4, f"{collector.url[7:]} answered {status}")
    assert "secret" not in caplog.text


async def test_what_a_collector_rejects_of_a_batch_counts_as_dropped(collector: Collector) -> None:
    collector.rejected = 2
    tracer, counted = tracer_to(collector.url), Counted()

    async with tracer.sending():
        end_spans(tracer, 5)

    assert counted.since() == {"sent": 3, "dropped": 2}


async def test_no_more_than_some_thousand_wait(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracer, counted = tracer_to(f"http://127.0.0.1:{silent.getsockname()[1]}", last_seconds=0.5), Counted()
        async with tracer.sending():
            end_spans(tracer, 6000)
            assert counted.since()["dropped"] == 6000 - 4096
            began = monotonic()

    # A process that stops does not wait for a collector that says nothing.
    assert monotonic() - began < 30
    assert counted.since() == {"sent": 0, "dropped": 6000}
    assert sum(vars(line)["dropped"] for line in lines(caplog)) == 6000
    assert len(lines(caplog)) <= 2


async def test_a_collector_that_is_away_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    tracer, counted = tracer_to(url), Counted()

    async with tracer.sending():
        end_spans(tracer, 1)
        await until(lambda: _is(counted.since()["dropped"] == 1))
        end_spans(tracer, 1)
        await until(lambda: _is(counted.since()["dropped"] == 2))
        assert len(lines(caplog)) == 1

    # The last words of the process have what was not said yet.
    assert [vars(line)["dropped"] for line in lines(caplog)] == [1, 1]
    assert "ClientConnectorError" in vars(lines(caplog)[0])["reason"]


async def _is(condition: bool) -> bool:
    await asyncio.sleep(0)
    return condition
