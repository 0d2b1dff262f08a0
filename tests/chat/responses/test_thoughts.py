"""What a model needs back travels sealed with the client that has nothing stored here."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.responses.asking import WEATHER, calls_in, output, post, response_of, stream, text_of
from tests.chat.upstream import UpstreamLog

SEALED = {"include": ["reasoning.encrypted_content"], "tools": [WEATHER]}
QUESTION = {"role": "user", "content": "get weather"}


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("fault", ["thought-signatures", "reasoning-details", "thinking-blocks"])
async def test_a_model_gets_back_what_it_wants_back(
    http: httpx.AsyncClient, database: Database, fault: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")
    ask: Any = stream if is_streamed else response_of
    asked = await ask(http, host, [QUESTION], **SEALED)
    first = asked.response if is_streamed else asked

    # In another order, as of clients that keep items in the order of their ends, and without their ids.
    items = [{name: value for name, value in item.items() if name != "id"} for item in reversed(first["output"])]
    second = await response_of(http, host, [QUESTION, *items, output(calls_in(first)[0], "rain")], **SEALED)

    assert "rain" in text_of(second)


@pytest.mark.parametrize("fault", ["thought-signatures", "reasoning-details"])
async def test_nothing_is_sealed_that_was_not_asked_for(
    http: httpx.AsyncClient, database: Database, fault: str
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")

    response = await response_of(http, host, [QUESTION], tools=[WEATHER])

    assert [item["type"] for item in response["output"]] == ["function_call"]


async def test_what_another_organization_has_had_sealed_is_refused(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    model = "sim-chat--reasoning-details"
    ours, theirs = await make_host(database, model), await make_host(database, model)
    first = await response_of(http, theirs, [QUESTION], **SEALED)
    sealed = next(item for item in first["output"] if item["type"] == "reasoning")["encrypted_content"]
    changed = sealed[:-5] + ("A" if sealed[-5] != "A" else "B") + sealed[-4:]
    calls_before = len(upstream.calls())

    for host, text in ((ours, sealed), (theirs, changed), (theirs, "text"), (theirs, "é"), (theirs, "")):
        item: dict[str, Any] = {"type": "reasoning", "summary": [], "encrypted_content": text}
        refused = await post(http, host, [QUESTION, item, QUESTION], **SEALED)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "input.1.encrypted_content"

    assert len(upstream.calls()) == calls_before


async def test_what_is_sealed_for_calls_that_are_gone_is_left_out(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--reasoning-details")
    first = await response_of(http, host, [QUESTION], **SEALED)
    thoughts = [item for item in first["output"] if item["type"] == "reasoning"]

    response = await response_of(http, host, [*thoughts, {"role": "user", "content": "Hello"}], **SEALED)

    assert text_of(response).endswith("You said: Hello")
