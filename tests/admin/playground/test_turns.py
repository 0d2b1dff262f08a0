"""The playground: turns like those of the API, for the user who is signed in and without a key."""

import json
import re
from html import unescape

from app.core.database import Database
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.playground.holds import rows_of
from tests.admin.playing import events_of, fields, opened_turn, stream_turn, text_in, words_of
from tests.agents.definitions import agent, make_host, make_team
from tests.chat.books import charged, closed_books_of, estimate_of
from tests.chat.tools import WEATHER
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization, balance_of


async def test_a_turn_is_streamed_and_charged_to_the_user_without_a_key(
    owner: Browser, host: Organization, database: Database
) -> None:
    form = fields("count to 3")
    events = await stream_turn(owner, form)

    assert [event["type"] for event in events if event["type"] != "text"] == ["begin", "end"]
    assert words_of(events).split() == ["1", "2", "3"]
    end = events[-1]
    assert "1 2 3" in end["html"]
    assert end["session"] == form["session"]
    assert not end["is_running"]
    ((user_id, key_id, request_id),) = await rows_of(database, host)
    assert (user_id, key_id) == (host.user_id, None)
    assert request_id is not None
    spent = 100 - (await balance_of(database, host)).balance
    assert spent > 0
    assert f"{spent:.6f}".rstrip("0") in re.sub(r"</?i>", "", end["sums"])
    assert (await owner.get(f"/requests/{request_id}")).status_code == 200


async def test_the_session_goes_on_and_is_shown_again(owner: Browser, upstream: UpstreamLog) -> None:
    form = fields("count to 2")
    await stream_turn(owner, form)
    await stream_turn(owner, fields("count to 3", session=form["session"]))

    page = (await owner.get(f"/playground?session={form['session']}")).text

    assert [each["content"] for each in upstream.requests()[-1]["messages"]] == ["count to 2", "1 2", "count to 3"]
    assert all(words in page for words in ("count to 2", "1 2 3"))


async def test_pictures_come_inline_as_they_finish(owner: Browser) -> None:
    events = await stream_turn(owner, fields("make simulator/image"))

    end = events[-1]["html"]
    assert re.search(r'<img src="[^"]+/files/[^"]+"', end), end
    assert "Trace" in end


async def test_without_scripts_the_whole_answer_is_on_the_page(owner: Browser, host: Organization) -> None:
    form = fields("make simulator/audio", temperature="0.5")

    page = await owner.submit("/playground", **form)
    again = await owner.submit("/playground", **form)

    assert page.status_code == again.status_code == 200
    assert "<audio controls" in page.text
    assert 'value="0.5"' in page.text
    assert again.text.count('data-turn="') == page.text.count('data-turn="') == 1


async def test_a_form_that_is_sent_twice_at_once_runs_once(
    database: Database, browser_of: BrowserOf, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--slow-2")
    owner = await browser_of("owner", host)
    form = fields("count to 3")

    async with opened_turn(owner, form) as first:
        events = events_of(first)
        assert (await anext(events))["type"] == "begin"
        second = await owner.post("/playground/turns", data=form, headers={"X-CSRF-Token": owner.csrf})
        whole = await owner.submit("/playground", **form)
        assert [event["type"] async for event in events][-1] == "end"

    assert second.status_code == 409
    assert "1 2 3" in whole.text
    assert len(upstream.calls()) == 1
    assert len(await rows_of(database, host)) == 1


async def test_stop_ends_the_turn_and_charges_what_was_delivered(
    database: Database, browser_of: BrowserOf, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    owner = await browser_of("owner", host)
    form = fields("count to 4")
    heard = turn = ""

    async with opened_turn(owner, form) as response:
        async for event in events_of(response):
            heard += event.get("text", "")
            turn = event.get("turn", turn)
            if heard == "1 2 ":
                break

    estimate = estimate_of(upstream.the_request(), "1 2 ")
    assert await closed_books_of(database, host) == charged(estimate, is_estimated=True)
    state = (await owner.get(f"/playground/turns/{turn}")).json()
    assert not state["is_running"]
    assert "1 2" in state["html"]
    # The form may be sent again.
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = 'sim-chat' WHERE organization_id = $1", host.id)
    assert words_of(await stream_turn(owner, form)).split() == ["1", "2", "3", "4"]


async def test_a_tool_of_the_readers_is_called_and_answered(owner: Browser) -> None:
    form = fields("get_weather", tools=json.dumps(WEATHER))
    asked = (await stream_turn(owner, form))[-1]["html"]
    call = re.search(r'name="call" value="([^"]+)"', asked)
    assert call, asked

    page = (await owner.get(f"/playground?session={form['session']}")).text
    told = fields("", session=form["session"], tools=json.dumps(WEATHER), call=unescape(call[1]), result="rain in Oslo")
    events = await stream_turn(owner, told)

    assert "What <code>get_weather</code> returns" in page
    assert "rain in Oslo" in words_of(events)
    assert 'name="call"' not in events[-1]["html"]


async def test_an_agent_is_talked_to_by_its_name(
    database: Database, browser_of: BrowserOf, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host"), agent("painter"))
    owner = await browser_of("owner", team)

    page = (await owner.get("/playground?agent=painter")).text
    await stream_turn(owner, fields("count to 2", agent="painter"))

    assert '<option value="painter" selected>' in page
    assert upstream.the_request()["model"] == "painter-model"


async def test_a_turn_that_fails_says_so(database: Database, browser_of: BrowserOf) -> None:
    host = await make_host(database, "sim-chat--error-frame-2")
    owner = await browser_of("owner", host)

    events = await stream_turn(owner, fields("count to 4"))
    page = await owner.submit("/playground", **fields("count to 4"))

    assert [event["type"] for event in events][-2:] == ["error", "end"]
    assert page.status_code == 422
    assert 'role="alert"' in page.text


async def test_hostile_answers_are_shown_as_words(owner: Browser) -> None:
    words = 'say "<img src=x onerror=alert(1)> [x](javascript:alert(1))"'
    end = (await stream_turn(owner, fields(words)))[-1]["html"]

    assert "<img src=x" not in end
    assert 'href="javascript' not in end
    assert "<img src=x onerror" in unescape(text_in(end))


async def test_the_code_follows_the_form(owner: Browser) -> None:
    form = fields('It\'s <b>"me"</b>\n$HOME `id`', temperature="0.25", more='{"seed": 7, "top_k": 4}')
    code = unescape((await owner.submit("/playground/code", **form)).text)

    assert code.count('"seed": 7') == 2
    assert "seed=7" in code
    assert '"top_k": 4' in code
    assert "$JUNIS_API_KEY" in code
    assert '"session_id"' not in code
    await stream_turn(owner, form)
    assert f'"session_id": "{form["session"]}"' in unescape((await owner.submit("/playground/code", **form)).text)
