"""The page of the log of changes: who sees what of it, in which words, and how it is searched and kept."""

import ast
import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import app
from app.admin.audit.queries import Change
from app.admin.audit.sentences import GROUP_WORDS, WORDINGS, Group, events_of
from app.admin.audit.views import by_day, tell
from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.audit.actor import Actor, ActorKind
from app.audit.service import log_change
from app.core.database import Database
from app.core.request_context import request_id_var, source_var
from app.credits.grants import grant_manually
from tests.admin.conftest import Browser, BrowserOf
from tests.factories import Organization, make_organization

SOURCES = Path(app.__file__).parent
STOLEN = "=HYPERLINK(1)"


async def change(database: Database, organization_id: str | None, event: str = "key_revoked", **values: object) -> str:
    """Add a row of a request of its own; returns the id of that."""
    request_id = f"req-{organization_id}-{event}"
    request_id_var.set(request_id)
    actor = Actor(ActorKind.USER, "user-of-the-test")
    async with database.transaction() as tx:
        log_change(
            tx,
            actor,
            event,
            organization_id=organization_id,
            object_id="of-the-test",
            before={"name": "backend", "state": "active"},
            after={"name": "backend", "state": "revoked", **values},
        )
    return request_id


async def test_managers_see_their_organization_and_others_are_refused(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    await change(database, organization.id)

    for role in ("owner", "admin"):
        page = await (await browser_of(role)).get("/audit")
        assert page.status_code == 200
        assert "revoked API key" in page.text
    for role in ("member", "viewer"):
        assert (await (await browser_of(role)).get("/audit")).status_code == 403
        assert (await (await browser_of(role)).get("/audit/export.csv")).status_code == 403


async def test_nobody_sees_another_organization_whatever_is_asked(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    other = await make_organization(database)
    request_id = await change(database, other.id)

    for query in ("", f"?organization={other.id}", f"?q={request_id}", "?who=user-of-the-test"):
        for path in ("/audit", "/audit/export.csv", "/audit/export.json"):
            page = await owner_browser.get(path + query)
            assert page.status_code == 200
            # What was asked for is shown again in the search field.
            assert other.id not in page.text.replace(request_id, "")


async def test_an_operator_sees_all_and_can_ask_for_one(
    operator_browser: Browser, database: Database, organization: Organization
) -> None:
    other = await make_organization(database)

    everything = await operator_browser.get(f"/audit/export.json?q={other.id}")
    one = await operator_browser.get(f"/audit?organization={other.id}")

    assert {row["event"] for row in everything.json()} == {"organization_created"}
    assert one.status_code == 200
    assert other.name in one.text
    assert organization.name not in one.text.partition("<main")[2]


async def test_a_change_says_what_was_replaced_and_from_where(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    source_var.set("203.0.113.24")
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="mobile <app>", scopes=["content:read"]),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=Actor(ActorKind.USER, organization.user_id),
        )
        await grant_manually(
            tx, organization.id, amount=Decimal("12.5"), actor=Actor(ActorKind.USER, organization.user_id)
        )

    page = (await owner_browser.get("/audit?what=keys")).text

    assert f"<strong>{owner_browser.email}</strong> created API key" in page
    assert f'<a href="/admin/keys/{new.row.id}">mobile &lt;app&gt;</a>' in page
    assert "<ins>content:read</ins>" in page
    assert "Console, 203.0.113.24" in page
    assert "granted 12.5 credits" not in page
    assert "granted 12.5 credits" in (await owner_browser.get("/audit?what=credits")).text


async def test_filters_find_by_name_id_request_actor_and_day(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    request_id = await change(database, organization.id, "member_removed", name="carol@example.com")
    today = datetime.now(UTC).date()

    async def events(query: str) -> set[str]:
        found = await owner_browser.get(f"/audit/export.json?{query}")
        return {row["event"] for row in found.json()}

    assert await events("q=carol@example.com") == {"member_removed"}
    assert await events("q=of-the-test") == {"member_removed"}
    assert await events(f"q={request_id}") == {"member_removed"}
    assert await events("who=user-of-the-test") == {"member_removed"}
    assert "key_created" in await events("who=command_line")
    assert await events("what=key_created") == {"key_created"}
    assert "key_created" in await events(f"from={today}&to={today}")
    assert await events(f"from={today + timedelta(days=2)}") == set()
    assert await events(f"to={today - timedelta(days=2)}") == set()
    assert "No change matches" in (await owner_browser.get("/audit?q=nothing-has-this-name")).text


@pytest.mark.parametrize("query", ["from=yesterday", "to=0001-01-01", "what=%00", "q=%00", "cursor=abc", "who=x%00"])
async def test_an_address_that_makes_no_sense_shows_what_is_left_of_it(owner_browser: Browser, query: str) -> None:
    assert (await owner_browser.get(f"/audit?{query}")).status_code == 200


async def test_pages_lead_through_all_rows_once(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        for number in range(120):
            actor = Actor(ActorKind.USER, organization.user_id)
            log_change(tx, actor, "key_revoked", organization_id=organization.id, object_id=f"row-{number:03}")

    seen: list[str] = []
    path: str | None = "/audit?what=keys"
    while path:
        page = (await owner_browser.get(path)).text
        seen += re.findall(r">(row-\d{3})<", page)
        following = re.search(r'href="/admin(/audit\?cursor=[^"]+)" rel="next"', page)
        path = following[1].replace("&amp;", "&") if following else None

    assert seen == [f"row-{number:03}" for number in reversed(range(120))]


async def test_exports_have_every_row_and_no_formula(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await change(database, organization.id, "key_changed", name=STOLEN)

    table = await owner_browser.get("/audit/export.csv?what=keys")
    array = await owner_browser.get("/audit/export.json?what=keys")

    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["event"] for row in rows] == [row["event"] for row in array.json()] == ["key_changed", "key_created"]
    assert rows[0]["object_name"] == f"'{STOLEN}"
    assert json.loads(rows[0]["after"])["name"] == array.json()[0]["object_name"] == STOLEN
    assert "attachment" in table.headers["content-disposition"]
    assert (await owner_browser.get("/audit/export.xlsx")).status_code == 404


def calls_of_log_change() -> Iterator[tuple[Path, str]]:
    """Where a change is logged, with the source of the event's name."""
    for file in sorted(SOURCES.rglob("*.py")):
        text = file.read_text()
        if "log_change" not in text:
            continue
        tree = ast.parse(text)
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "log_change":
                for name in names_of(call.args[2], tree):
                    yield file, name


def names_of(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The names of events that an expression may be, as regular expressions."""
    match node:
        case ast.Constant(value=str(name)):
            yield re.escape(name)
        case ast.IfExp():
            yield from names_of(node.body, tree)
            yield from names_of(node.orelse, tree)
        case ast.JoinedStr():
            parts = [re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in node.values]
            yield "".join(parts)
        case ast.Name():
            assigned = [
                each.value
                for each in ast.walk(tree)
                if isinstance(each, ast.Assign) and any(ast.dump(t) == ast.dump(target(node)) for t in each.targets)
            ]
            given = assigned or list(arguments_for(node.id, tree))
            assert given, f"{node.id}: give log_change the name of the event where it is called, or assign it"
            for value in given:
                yield from names_of(value, tree)
        case _:
            raise AssertionError(f"the name of an event is not written out: {ast.unparse(node)}")


def arguments_for(parameter: str, tree: ast.Module) -> Iterator[ast.expr]:
    """What the module's own functions are called with for a parameter of that name."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names = [argument.arg for argument in function.args.args]
        if parameter not in names:
            continue
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function.name:
                yield from call.args[names.index(parameter) :][:1]
                yield from (keyword.value for keyword in call.keywords if keyword.arg == parameter)


def target(node: ast.Name) -> ast.Name:
    return ast.Name(node.id, ast.Store())


def test_every_event_of_the_code_has_its_words() -> None:
    found = list(calls_of_log_change())

    assert len(found) > 10
    for file, pattern in found:
        assert any(re.fullmatch(pattern, event) for event in WORDINGS), f"{file.relative_to(SOURCES)}: {pattern}"


@pytest.mark.parametrize("event", sorted(WORDINGS))
def test_words_are_a_sentence(event: str) -> None:
    at = datetime(2026, 11, 29, 12, tzinfo=UTC)
    row = Change(at, "server", None, None, "org-1", "Acme", event, "id-1", "thing", {}, {}, None, None)

    told = tell(row, organization_id="org-1", is_operator=True)

    assert "{" not in "".join(piece.text for piece in told.pieces)
    assert event in (events_of(WORDINGS[event].group) or ())


def test_every_group_has_its_words() -> None:
    assert set(GROUP_WORDS) == set(Group)


def test_an_event_of_a_newer_version_is_told_by_its_name() -> None:
    at = datetime(2026, 11, 29, 12, tzinfo=UTC)
    row = Change(at, "command_line", None, None, None, None, "moon_painted", "id-1", None, None, None, "a@b", None)

    told = tell(row, organization_id="", is_operator=True)

    assert "".join(piece.text for piece in told.pieces) == "moon painted id-1"
    assert (told.who, told.origin) == ("Command line", "a@b")


def test_long_values_are_cut_and_kept_whole_behind_a_fold() -> None:
    at = datetime(2026, 11, 29, 12, tzinfo=UTC)
    after = {"name": "poet", "instruction": "x" * 900, **{f"value_{number}": number + 1 for number in range(20)}}
    row = Change(at, "server", None, None, None, None, "agent_imported", "id-1", "poet", None, after, None, None)

    told = tell(row, organization_id="", is_operator=False)

    assert [each.name for each in told.replaced][:2] == ["instruction", "value_0"]
    assert (len(told.replaced), told.further) == (8, 13)
    assert len(told.replaced[0].after or "") < 170
    assert "x" * 900 in (told.whole or "")


def test_days_are_those_of_the_reader() -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    moments = [now, now - timedelta(hours=13), now - timedelta(days=40), now - timedelta(days=400)]
    rows = [
        Change(at, "server", None, None, None, None, "user_created", "id", "x", None, None, None, None)
        for at in moments
    ]

    days = by_day([tell(row, organization_id="", is_operator=False) for row in rows], UTC, now)

    assert [day.title for day in days] == [
        "Today, 29 November",
        "Yesterday, 28 November",
        "20 October",
        "25 October 2025",
    ]
