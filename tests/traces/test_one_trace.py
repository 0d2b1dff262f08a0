"""One request is one trace: from the client's own span through API, queue and worker to what a webhook brings."""

from collections import Counter

import orjson
import pytest

from app.core.span_names import Attribute
from tests import factories
from tests.traces.collector import Seen
from tests.traces.documented import EXPECTED, said_of
from tests.traces.printed import printed, tree
from tests.traces.product import CLIENT, COLLECTORS_KEY, LLM_KEY, PROMPT, REPLICATE_TOKEN, TRACE, Traced
from tests.waiting import until, wait_until


def one(trace: list[Seen], name: str) -> Seen:
    """The first span of this name."""
    return next(span for span in trace if span.name == name)


def test_every_span_is_below_the_one_that_it_belongs_to(trace: list[Seen]) -> None:
    names = {span.span_id: span.name for span in trace}

    found = Counter((span.name, span.service, span.kind, names.get(span.parent_id)) for span in trace)

    assert found == EXPECTED, printed(trace)
    assert len({span.span_id for span in trace}) == len(trace)
    assert [span.parent_id for span in trace if span.parent_id not in names] == [CLIENT]


def test_spans_say_who_what_and_how_much(traced: Traced, trace: list[Seen]) -> None:
    request, turn, call = (
        one(trace, "POST /api/external/v1/chat/completions"),
        one(trace, "turn"),
        one(trace, "chat sim-chat"),
    )
    create, copy, write = one(trace, "replicate create"), one(trace, "copy_outputs"), one(trace, "store write")

    assert request.attributes[Attribute.HTTP_STATUS] == 200
    assert turn.attributes[Attribute.ORGANIZATION] == traced.organization.id
    assert turn.attributes[Attribute.GEN_AI_AGENT] == "orchestrator"
    assert (call.events, call.attributes[Attribute.GEN_AI_FINISH_REASONS]) == (("first_token",), ["tool_calls"])
    calls = [span for span in trace if span.name == "chat sim-chat"]
    for tokens in (Attribute.GEN_AI_INPUT_TOKENS, Attribute.GEN_AI_OUTPUT_TOKENS):
        assert turn.attributes[tokens] == sum(span.attributes[tokens] for span in calls) > 0
    assert create.attributes[Attribute.HTTP_STATUS] == 201
    assert copy.attributes[Attribute.GEN_AI_MODEL] == "simulator/image"
    ids = {span.attributes[Attribute.GENERATION] for span in trace if Attribute.GENERATION in span.attributes}
    assert len(ids) == 1
    [size] = [path.stat().st_size for path in traced.objects.rglob("*.png")]
    assert write.attributes[Attribute.BYTES] == size
    assert not [span for span in trace if span.has_failed]


def test_a_span_lasts_as_long_as_what_it_is_about(trace: list[Seen]) -> None:
    by_id = {span.span_id: span for span in trace}

    for span in trace:
        assert span.began_at <= span.ended_at
        above = by_id.get(span.parent_id)
        assert above is None or above.began_at <= span.began_at
    turn, tool = one(trace, "turn"), one(trace, "execute_tool replicate_generate")
    assert turn.began_at <= tool.began_at <= tool.ended_at <= turn.ended_at
    assert one(trace, "end_of_prediction").began_at >= one(trace, "replicate create").ended_at


def test_the_webhooks_own_request_is_linked_to(traced: Traced, trace: list[Seen]) -> None:
    [request] = one(trace, "hear_of_prediction").links

    [webhook] = [span for span in traced.collector.spans if span.span_id == request]
    assert webhook.trace_id != TRACE
    assert webhook.name == "POST /webhooks/replicate/{generation_id}/{attempt}/{nonce}"


def test_nothing_of_what_was_said_is_in_it(traced: Traced, trace: list[Seen]) -> None:
    sent = b"".join(traced.collector.bodies)
    log = orjson.dumps([traced.vendors.log(kind) for kind in ("chat", "prediction", "delivery", "webhook")]).decode()

    assert len(trace) == len(tree(trace))
    for secret in (PROMPT, LLM_KEY, REPLICATE_TOKEN, COLLECTORS_KEY, traced.organization.api_key, "whsec_"):
        assert secret.encode() not in sent
    # The vendors have seen the prompt, and where to report to.
    assert PROMPT in log
    for span in traced.collector.spans:
        texts = [span.name, *map(str, span.attributes.values())]
        assert not [text for text in texts if "://" in text or "?" in text]


@pytest.mark.parametrize("kind", ["chat", "prediction"])
def test_vendors_are_told_of_the_trace(traced: Traced, trace: list[Seen], kind: str) -> None:
    ids = {span.span_id for span in trace}

    told = [entry["traceparent"] for entry in traced.vendors.log(kind)]

    assert told
    assert {value.split("-")[1] for value in told} == {TRACE}
    assert {value.split("-")[2] for value in told} <= ids


def test_the_collector_is_told_who_sends(traced: Traced, trace: list[Seen]) -> None:
    assert {headers["x-key"] for headers in traced.collector.headers} == {COLLECTORS_KEY}
    assert {headers["content-type"] for headers in traced.collector.headers} == {"application/x-protobuf"}
    assert b"deployment.environment.name" in traced.collector.bodies[0]


async def test_what_was_charged_names_the_trace(traced: Traced, trace: list[Seen]) -> None:
    async with traced.database.transaction() as tx:
        rows = await tx.fetch("SELECT DISTINCT traceparent FROM ledger_entries WHERE traceparent IS NOT NULL")

    request, tool = one(trace, "POST /api/external/v1/chat/completions"), one(trace, "execute_tool replicate_generate")
    assert {row["traceparent"] for row in rows} == {f"00-{TRACE}-{span.span_id}-01" for span in (request, tool)}


def test_of_a_span_nothing_is_said_but_what_is_documented(trace: list[Seen]) -> None:
    for span in trace:
        assert set(span.attributes) <= said_of(span), span.name


async def test_a_turn_does_not_notice_that_the_collector_fails(traced: Traced, trace: list[Seen]) -> None:
    traced.collector.status = 500
    try:
        await traced.ask("What is a lighthouse?")
        await until(traced.has_dropped)
        await traced.ask("What is a dusk?")
    finally:
        traced.collector.status = 200
    traced.collector.spans.clear()
    await traced.ask("What is a fox?")

    wait_until(lambda: [span for span in traced.collector.spans if span.name == "turn"])
    lines = [orjson.loads(line) for line in traced.logs[0].read_text().splitlines()]
    [dropped] = [line for line in lines if line["event"] == "spans_dropped"]
    assert not [line for line in lines if "telemetry" in line["event"]]
    assert dropped["reason"].endswith(" answered 500")
    assert traced.organization.api_key not in traced.logs[0].read_text()


async def test_lines_of_both_logs_carry_the_trace(traced: Traced) -> None:
    """A copy that is interrupted goes on a second later: as another span, below the same tool."""
    traced.vendors.order_fault("simulator/image", "delivery-truncated")
    trace = await traced.draw(trace_id := "4bf92f3577b34da6a3ce929d0e0e4736")
    spans = {span.span_id: span for span in trace}

    api, worker = ([orjson.loads(line) for line in log.read_text().splitlines()] for log in traced.logs)

    [request] = [line for line in api if line["event"] == "request" and line.get("trace_id") == trace_id]
    assert spans[request["span_id"]].attributes[Attribute.REQUEST_ID] == request["request_id"]
    [interrupted] = [line for line in worker if line["event"] == "copy_interrupted"]
    assert (interrupted["trace_id"], interrupted["request_id"]) == (trace_id, request["request_id"])
    copies = [span for span in trace if span.name == "copy_outputs"]
    assert interrupted["span_id"] == copies[0].span_id
    assert len(copies) == 2
    assert copies[0].parent_id == copies[1].parent_id == one(trace, "execute_tool replicate_generate").span_id
    downloads = [span for span in trace if span.name == "download_output"]
    assert [span.attributes.get(Attribute.ERROR_TYPE) for span in downloads] == ["DownloadInterruptedError", None]


async def test_a_failure_says_its_code_and_nothing_else(traced: Traced) -> None:
    await factories.price_models(traced.database, model := "simulator/image--fail", ceiling="0.5")
    trace = await traced.draw(trace_id := "1bf92f3577b34da6a3ce929d0e0e4737", model=model, last="fail_generation")

    [failed] = [span for span in trace if span.name == "fail_generation"]
    [poll] = [span for span in trace if span.span_id == failed.parent_id]
    assert (poll.name, poll.has_failed) == ("end_of_prediction", True)
    assert poll.attributes[Attribute.ERROR_TYPE] == "prediction_failed"
    assert poll.attributes[Attribute.PREDICTION_STATUS] == "failed"
    assert poll.trace_id == trace_id
    assert b"simulated" not in b"".join(traced.collector.bodies)
