"""The metrics say what has happened: known small loads, and the figures before and after them."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.audit.actor import COMMAND_LINE
from app.organizations import service as organizations
from tests import factories
from tests.agents.definitions import make_host
from tests.chat.asking import CHAT, ask, open_http
from tests.observe.observed import Figures, Observed
from tests.waiting import until

ROUTE = "/api/external/v1/chat/completions"


def asking(words: str, **body: Any) -> dict[str, Any]:
    return {"model": "junis-orchestrator", "messages": [{"role": "user", "content": words}], **body}


async def test_turns_tokens_and_charges_are_counted_exactly(observed: Observed, http: httpx.AsyncClient) -> None:
    before = await observed.figures()
    balance = await factories.balance_of(observed.database, observed.organization)

    answers = [(await http.post(CHAT, json=asking(f"Say {word}"))).raise_for_status() for word in ("a", "b", "c d")]

    now = await factories.balance_of(observed.database, observed.organization)
    figures = await observed.figures() - before
    usages = [answer.json()["usage"] for answer in answers]
    assert figures.of("junis_turns_total", outcome="completed") == 3
    assert figures.of("junis_turns_total") == 3
    assert figures.of("junis_turn_duration_seconds_count", is_streamed="false") == 3
    assert figures.of("junis_http_requests_total", method="POST", route=ROUTE, status="200") == 3
    assert figures.of("junis_http_request_duration_seconds_count", route=ROUTE) == 3
    assert figures.of("junis_model_calls_total", model="sim-chat", result="used") == 3
    assert figures.of("junis_model_call_duration_seconds_count", model="sim-chat") == 3
    for kind in ("prompt", "completion"):
        assert figures.of("junis_model_tokens_total", model="sim-chat", kind=kind) == sum(
            usage[f"{kind}_tokens"] for usage in usages
        )
    assert figures.of("junis_credit_holds_total", kind="model_call", model="sim-chat") == 3
    assert figures.of("junis_metering_events_total", kind="model_call", model="sim-chat") == 3
    charged = figures.of("junis_metered_credits_total", kind="model_call")
    assert Decimal(str(round(charged, 6))) == balance.balance - now.balance
    assert figures.of("junis_held_credits_total", kind="model_call") >= charged
    assert figures.of("junis_vendor_requests_total", vendor="chat_model", operation="complete", result="ok") == 3
    assert figures.of("junis_rate_limit_decisions_total", decision="admitted", decided_in="redis") == 3
    assert figures.of("junis_database_connection_wait_seconds_count") >= 6


async def test_a_stream_has_a_time_to_its_first_token(observed: Observed) -> None:
    model = "sim-chat--slow-3"
    host = await make_host(observed.database, model)
    before = await observed.figures()

    async with (
        open_http(observed.api) as client,
        client.stream("POST", CHAT, json=asking("Tell me a story", stream=True), headers=host.headers) as response,
    ):
        during = await observed.figures()
        await response.aread()

    figures = await observed.figures() - before
    assert during.of("junis_turns_in_progress") - before.of("junis_turns_in_progress") == 1
    # The other one is the request for the metrics.
    assert during.of("junis_http_requests_in_progress") == 2
    assert figures.of("junis_turns_in_progress") == 0
    assert figures.of("junis_model_first_token_seconds_count", model=model) == 1
    assert figures.of("junis_turn_duration_seconds_count", is_streamed="true") == 1
    assert figures.of("junis_vendor_requests_total", operation="stream", result="ok") == 1
    head, whole = "junis_vendor_request_duration_seconds_sum", "junis_model_call_duration_seconds_sum"
    assert 0 < figures.of(head, operation="stream") < figures.of(whole)


async def test_refusals_by_limits_are_told_apart(observed: Observed) -> None:
    async with observed.database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name="tight",
            requests_per_minute=2,
            concurrent_requests=5,
            concurrent_generations=5,
            actor=COMMAND_LINE,
        )
    tight = await factories.make_organization(observed.database, plan="tight")
    before = await observed.figures()

    async with httpx.AsyncClient(base_url=f"{observed.api}/api/external", headers=tight.headers) as client:
        statuses = [(await client.get("/content")).status_code for _ in range(3)]

    figures = await observed.figures() - before
    assert statuses == [200, 200, 429]
    assert figures.of("junis_rate_limit_decisions_total", decision="minute", decided_in="redis") == 1
    assert figures.of("junis_rate_limit_decisions_total", decision="admitted") == 2
    assert figures.of("junis_http_requests_total", route="/api/external/content", status="429") == 1


async def test_what_cannot_be_paid_for_is_a_refused_hold(observed: Observed) -> None:
    poor = await factories.make_organization(observed.database, credit="0")
    before = await observed.figures()

    async with httpx.AsyncClient(base_url=f"{observed.api}/api/external", headers=poor.headers) as client:
        refused = await client.post(CHAT, json=asking("Hello"))

    figures = await observed.figures() - before
    assert refused.status_code == 402
    assert figures.of("junis_credit_holds_refused_total", kind="model_call") == 1
    assert figures.of("junis_turns_total", outcome="refused") == 1
    assert figures.of("junis_turn_errors_total", code="insufficient_credits") == 1
    assert figures.of("junis_credit_holds_total") == 0


async def test_a_failing_model_is_seen_as_the_vendors_fault(observed: Observed) -> None:
    host = await make_host(observed.database, "sim-chat--status-500")
    before = await observed.figures()

    async with open_http(observed.api) as client:
        failed = await ask(client, host, "count to 5")

    figures = await observed.figures() - before
    assert failed.status_code == 502
    assert figures.of("junis_turns_total", outcome="failed") == 1
    assert figures.of("junis_turn_errors_total", code="provider_error") == 1
    assert figures.of("junis_vendor_requests_total", vendor="chat_model", result="provider_error") == 1
    assert figures.of("junis_model_calls_total", result="free") == 1
    assert figures.of("junis_model_tokens_total") == 0


async def test_a_generation_passes_all_stages(observed: Observed, http: httpx.AsyncClient) -> None:
    before = await observed.figures()

    (await http.post(CHAT, json=asking("Please make simulator/image of a lighthouse"))).raise_for_status()
    figures = await until_counted(observed, before, state="completed")

    assert figures.of("junis_generations_total", state="completed", reason="none") == 1
    assert figures.of("junis_generations_total") == 1
    for stage in ("queue", "vendor", "copy", "whole"):
        assert figures.of("junis_generation_stage_seconds_count", stage=stage) == 1, stage
    assert figures.of("junis_credit_holds_total", kind="generation", model="simulator/image") == 1
    assert figures.of("junis_metering_events_total", kind="generation", model="simulator/image") == 1
    assert round(figures.of("junis_metered_credits_total", kind="generation"), 6) == 0.003
    assert round(figures.of("junis_held_credits_total", kind="generation"), 6) == 0.012
    assert figures.of("junis_vendor_requests_total", vendor="replicate", operation="create", result="ok") == 1
    assert figures.of("junis_store_operation_duration_seconds_count", operation="write") == 1
    assert figures.of("junis_store_bytes_total", direction="written") > 0
    assert figures.of("junis_worker_row_duration_seconds_count", step="copy") >= 1


@pytest.mark.parametrize(
    ("model", "reason"),
    [("simulator/image--fail", "prediction_failed"), ("simulator/image--create-422", "rejected")],
)
async def test_a_generation_fails_with_its_reason(
    observed: Observed, http: httpx.AsyncClient, model: str, reason: str
) -> None:
    await factories.price_models(observed.database, model)
    before = await observed.figures()

    (await http.post(CHAT, json=asking(f"Please make {model} of a fox"))).raise_for_status()
    figures = await until_counted(observed, before, state="failed")

    assert figures.of("junis_generations_total", state="failed", reason=reason) == 1
    assert figures.of("junis_generations_total") == 1
    assert figures.of("junis_metering_events_total", kind="generation") == 0


async def until_counted(observed: Observed, before: Figures, *, state: str) -> Figures:
    """What has changed once a generation has ended in this state."""

    async def changed() -> list[Figures]:
        figures = await observed.figures() - before
        return [figures] if figures.of("junis_generations_total", state=state) else []

    return (await until(changed))[0]


async def test_a_webhook_without_a_signature_is_counted_as_refused(observed: Observed) -> None:
    before = await observed.figures()

    async with httpx.AsyncClient(base_url=observed.api) as client:
        refused = await client.post("/webhooks/replicate/a/0/c", json={"id": "p"})

    figures = await observed.figures() - before
    assert refused.status_code >= 400
    assert figures.of("junis_webhooks_total", result="refused") == 1


async def test_what_concerns_all_processes_is_shown_by_one_of_them(observed: Observed) -> None:
    async def shown() -> list[Figures]:
        figures = await observed.figures()
        return [figures] if figures.of("junis_worker_loop_is_live", loop="copy") else []

    (figures,) = await until(shown)

    names = {name for name, _ in figures.values}
    assert {"junis_queue_rows", "junis_queue_oldest_due_seconds", "junis_vendor_budget_creates"} <= names
    assert figures.of("junis_worker_loop_is_live", loop="copy") == 1, "two processes show the same"
    assert figures.of("junis_queue_rows", state="pending") == 0


async def test_paths_and_methods_that_clients_make_up_get_no_series(observed: Observed) -> None:
    before = await observed.figures()

    async with httpx.AsyncClient(base_url=observed.api) as client:
        for method in ("GET", "PURGE", "REPORT"):
            await client.request(method, "/made/up")

    figures = await observed.figures() - before
    assert figures.of("junis_http_requests_total", method="other", route="none") == 2
    assert figures.of("junis_http_requests_total", method="GET", route="none") == 1
    assert not [has for _, has in figures.values if any("made" in value for _, value in has)]
