"""The playground over the Responses API: the same turns, asked for in its form, and shown as its code."""

import json
import re
from html import unescape

import pytest

from app.core.database import Database
from tests.admin.conftest import Browser
from tests.admin.playground.holds import rows_of
from tests.admin.playing import fields, stream_turn, words_of
from tests.chat.tools import WEATHER
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


def asking(words: str = "", **given: str) -> dict[str, str]:
    return fields(words, protocol="responses", **given)


async def code_of(owner: Browser, form: dict[str, str]) -> str:
    return unescape((await owner.submit("/playground/code", **form)).text)


async def test_a_session_goes_on_over_either_api(owner: Browser, host: Organization, upstream: UpstreamLog) -> None:
    form = asking("count to 2", max_tokens="50", more='{"instructions": "Be brief."}')
    assert words_of(await stream_turn(owner, form)).split() == ["1", "2"]
    await stream_turn(owner, fields("count to 3", session=form["session"]))

    first, second = upstream.requests()
    assert [(each["role"], each["content"]) for each in first["messages"]][-2:] == [
        ("system", "Be brief."),
        ("user", "count to 2"),
    ]
    assert 50 in (first.get("max_tokens"), first.get("max_completion_tokens"))
    assert [each["content"] for each in second["messages"]] == ["count to 2", "1 2", "count to 3"]


async def test_without_scripts_the_choice_stays(owner: Browser) -> None:
    page = (await owner.submit("/playground", **asking("count to 3"))).text

    assert "1 2 3" in page
    assert '<option value="responses" selected>' in page
    assert "client.responses.create" in page


async def test_a_turn_costs_no_more_than_it_says(owner: Browser, host: Organization, database: Database) -> None:
    form = asking("count to 2", more='{"max_credits": 0.000001}')

    refused = await owner.post("/playground/turns", data=form, headers={"X-CSRF-Token": owner.csrf})

    assert refused.status_code == 402
    assert await rows_of(database, host) == []


@pytest.mark.parametrize("is_flat", [True, False])
async def test_a_tool_may_be_in_the_form_of_either(owner: Browser, *, is_flat: bool) -> None:
    tool = {"type": "function", **WEATHER["function"]} if is_flat else WEATHER
    form = fields("get_weather", tools=json.dumps(tool), protocol="chat" if is_flat else "responses")
    asked = (await stream_turn(owner, form))[-1]["html"]
    call = re.search(r'name="call" value="([^"]+)"', asked)
    assert call, asked

    told = form | fields("", session=form["session"]) | {"tools": form["tools"], "protocol": form["protocol"]}
    events = await stream_turn(owner, {**told, "call": unescape(call[1]), "result": "rain in Oslo"})

    assert "rain in Oslo" in words_of(events)


async def test_the_code_follows_the_choice(owner: Browser) -> None:
    form = asking(
        "Hello", max_tokens="9", more='{"seed": 7, "reasoning": {"effort": "low"}}', tools=json.dumps(WEATHER)
    )

    code = await code_of(owner, form)
    chat = await code_of(owner, {**form, "protocol": "chat", "more": ""})

    assert all(each in code for each in ("/v1/responses ", "client.responses.create", 'input="Hello"', "event.delta"))
    assert all(each in code for each in ("max_output_tokens=9", "reasoning={", 'extra_body={\n        "seed": 7'))
    assert '"function": {' not in code
    assert all(each in chat for each in ("/chat/completions", "messages=[", "max_tokens=9", '"function": {'))
    assert '"conversation"' not in code
    await stream_turn(owner, {**form, "tools": ""})
    assert f'"conversation": "{form["session"]}"' in await code_of(owner, form)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tools": '{"type": "function", "function": {"name": "no spaces"}}'}, "tools"),
        ({"tools": '{"name": "without_a_type"}'}, "tools"),
        ({"more": '{"messages": []}'}, "more"),
        ({"more": '{"input": "x"}'}, "more"),
        ({"more": '{"background": true}'}, "more"),
        ({"more": '{"tool_choice": {"type": "nothing"}}'}, "more"),
        ({"say": " "}, "say"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field(
    owner: Browser, host: Organization, database: Database, given: dict[str, str], field: str
) -> None:
    streamed = await owner.post(
        "/playground/turns", data={**asking("count to 2"), **given}, headers={"X-CSRF-Token": owner.csrf}
    )

    assert streamed.status_code == 422
    assert list(streamed.json()["fields"]) == [field]
    assert await rows_of(database, host) == []
