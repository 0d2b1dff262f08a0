"""Usage and ledger over HTTP: who sees what, exact sums, filters, exports, alerts."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database
from app.credits import service as credits
from app.credits.grants import grant_manually
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.credits.spending import Call, Origin, add_charge
from tests.factories import Organization

_NOW = datetime.now(UTC)
_AMOUNT = re.compile(r'<dd(?: class="sum")?><span class="m">([^<]*)(?:<i>([^<]*)</i>)?</span></dd>')


async def _charge(
    database: Database,
    organization: Organization,
    *costs: str,
    user: str | None = None,
    model: str = "sim-metered",
    at: datetime | None = None,
    charged: str | None = None,
) -> int:
    """Charge calls of these costs; returns the entry's id."""
    origin = Origin(organization_id=organization.id, user_id=user or organization.user_id, model=model)
    async with database.transaction() as tx:
        calls = [Call(cost, model=model) for cost in costs]
        reference = await add_charge(tx, origin, at or _NOW, calls, charged=charged)
        entry_id: int = await tx.fetchval("SELECT id FROM ledger_entries WHERE reference = $1", reference)
    return entry_id


def _section(text: str, heading: str) -> str:
    return text.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]


def _amounts(section: str) -> list[Decimal]:
    return [
        Decimal("".join(found).replace("\N{MINUS SIGN}", "-").replace(",", "")) for found in _AMOUNT.findall(section)
    ]


@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
async def test_every_member_opens_the_pages(browser_of: BrowserOf, role: str) -> None:
    browser = await browser_of(role)

    for path in ("/usage", "/usage?period=90&split=key", "/usage?split=user", "/ledger", "/ledger/holds"):
        assert (await browser.get(path)).status_code == 200, path
    for ending in ("csv", "json"):
        assert (await browser.get(f"/ledger/export.{ending}")).status_code == 200


async def test_nobody_else_opens_them(anonymous_browser: Browser, browser_of: BrowserOf) -> None:
    for path in ("/usage", "/ledger", "/ledger/1", "/ledger/holds", "/ledger/export.csv"):
        response = await anonymous_browser.get(path)
        assert response.status_code == 303
        assert response.headers["Location"].startswith("/admin/sign-in")
    operator = await browser_of("member", None, is_operator=True)
    assert (await operator.get("/usage")).status_code == 404


async def test_members_see_what_they_have_spent_and_others_see_everything(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    member, viewer = await browser_of("member"), await browser_of("viewer")
    own = await _charge(database, organization, "0.25", user=member.user_id)
    others = await _charge(database, organization, "0.5")

    assert (await member.get(f"/ledger/{own}")).status_code == 200
    assert (await member.get(f"/ledger/{others}")).status_code == 404
    assert "0.25<i>0000</i>" in (await member.get("/usage")).text
    assert "0.75<i>0000</i>" in (await viewer.get("/usage")).text
    assert (await viewer.get(f"/ledger/{others}")).status_code == 200
    exported = (await member.get("/ledger/export.json")).json()["entries"]
    assert [entry["id"] for entry in exported] == [own]
    stolen = (await member.get("/ledger/export.json", params={"user": organization.user_id})).json()
    assert stolen["entries"] == []
    assert "Balance after" not in (await member.get("/ledger")).text
    assert "split=user" not in (await member.get("/usage")).text


async def test_other_organizations_have_no_entries_here(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    other = await factories.make_organization(database)
    entry = await _charge(database, other, "0.125")

    assert (await owner_browser.get(f"/ledger/{entry}")).status_code == 404
    assert "0.125" not in (await owner_browser.get("/usage")).text
    ids = [row["id"] for row in (await owner_browser.get("/ledger/export.json")).json()["entries"]]
    assert entry not in ids
    for strange in ("0", "x", "99999999999999999999"):
        assert (await owner_browser.get(f"/ledger/{strange}")).status_code == 400


@pytest.mark.parametrize(
    ("costs", "charged"),
    [(["0.000001"], None), (["0.1", "0.020002", "0.3"], None), (["0.4", "0.4"], "0.500001"), (["0.001"] * 130, None)],
    ids=["one", "three", "not-covered", "many"],
)
async def test_the_lines_of_an_entry_add_up_to_it(
    owner_browser: Browser, database: Database, organization: Organization, costs: list[str], charged: str | None
) -> None:
    entry = await _charge(database, organization, *costs, charged=charged)

    page = await owner_browser.get(f"/ledger/{entry}")

    *lines, total = _amounts(_section(page.text, "How it was computed"))
    assert sum(lines) == total == Decimal(charged or sum(map(Decimal, costs)))
    assert len(lines) == min(len(costs), 101)
    assert ("but no more was available" in page.text) == (charged is not None)
    hold = _amounts(_section(page.text, "Hold"))
    assert hold[0] + hold[1] == hold[-1]


async def test_a_grant_and_an_entry_of_a_turn_say_what_they_are(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        reference = f"invoice <17> {organization.id}"
        await grant_manually(
            tx,
            organization.id,
            amount=Decimal("12.5"),
            reference=reference,
            description="Paid <b>",
            actor=COMMAND_LINE,
        )
        entry = await tx.fetchval("SELECT id FROM ledger_entries WHERE reference = $1", reference)

    page = await owner_browser.get(f"/ledger/{entry}")

    assert "+12.5<i>00000</i>" in page.text
    assert "Paid &lt;b&gt;" in page.text
    assert "<b>" not in page.text.partition("<main")[2]


async def test_filters_find_entries_and_stay_in_the_pages(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    for number in range(55):
        await _charge(database, organization, f"0.0001{number:02}", at=_NOW - timedelta(minutes=number))
    old = await _charge(database, organization, "0.7", model="sim-chat", at=_NOW - timedelta(days=40))

    first = await owner_browser.get("/ledger", params={"kind": "charge", "model": "sim-metered"})
    older = re.search(r'href="/admin(/ledger\?cursor=[^"]+)" rel="next"', first.text)
    assert older
    second = await owner_browser.get(older[1].replace("&amp;", "&"))
    rows = [len(re.findall(r'class="hit" href="/admin/ledger/', page.text)) for page in (first, second)]
    day = (_NOW - timedelta(days=40)).date().isoformat()
    of_day = await owner_browser.get("/ledger", params={"first": day, "last": day})
    by_id = await owner_browser.get("/ledger", params={"search": str(old)})
    nothing = await owner_browser.get("/ledger", params={"search": "nothing", "kind": "grant"})

    assert rows == [50, 5]
    for page in (of_day, by_id):
        assert re.findall(r'class="hit" href="/admin/ledger/(\d+)', page.text) == [str(old)]
    assert "Remove filters" in nothing.text
    assert (await owner_browser.get("/ledger?cursor=rubbish&first=rubbish&kind=x")).status_code == 200


async def test_an_export_is_exact_quoted_and_free_of_formulas(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await _charge(database, organization, "0.000001")
    async with database.transaction() as tx:
        for number, text in enumerate(['=cmd|"/C calc"!A0', "+1", "-1", "@SUM(A1)", 'a "quoted", comma', "two\nlines"]):
            await grant_manually(
                tx,
                organization.id,
                amount=Decimal("0.1") + number,
                description=text,
                reference=f"{text}-{organization.id}",
                actor=COMMAND_LINE,
            )

    as_csv = await owner_browser.get("/ledger/export.csv")
    as_json = await owner_browser.get("/ledger/export.json", params={"kind": "grant"})

    assert as_csv.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in as_csv.headers["Content-Disposition"]
    assert as_csv.text.count("\r\n") == 9
    assert "\n" not in as_csv.text.replace("\r\n", "").replace("two\nlines", "")
    rows = list(csv.DictReader(io.StringIO(as_csv.text, newline="")))
    described = {row["description"]: row for row in rows}
    for text in ('=cmd|"/C calc"!A0', "+1", "-1", "@SUM(A1)"):
        assert described[f"'{text}"]["reference"] == f"'{text}-{organization.id}"
    assert described['a "quoted", comma']["amount"] == "4.100000"
    assert "two\nlines" in described
    assert [row["amount"] for row in rows if row["kind"] == "charge"] == ["-0.000001"]
    entries = as_json.json()["entries"]
    assert {entry["kind"] for entry in entries} == {"grant"}
    assert sum(Decimal(entry["amount"]) for entry in entries) == Decimal(100) + Decimal("15.6")
    assert all(isinstance(entry["amount"], str) for entry in entries)


async def test_a_long_export_has_every_entry_once(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        # So many at the same moment, and more than two slices.
        await tx.execute(
            "INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated,"
            " description) SELECT $1, 'adjustment', 'many:' || $1 || ':' || n, 0, 100, false, '' FROM"
            " generate_series(1, 2500) n",
            organization.id,
        )

    entries = (await owner_browser.get("/ledger/export.json")).json()["entries"]
    lines = list(csv.reader(io.StringIO((await owner_browser.get("/ledger/export.csv")).text, newline="")))

    assert len({entry["id"] for entry in entries}) == len(entries) == 2501
    assert [int(line[0]) for line in lines[1:]] == [entry["id"] for entry in entries]


async def test_the_chart_and_its_table_are_the_ledgers_sums(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    for number in range(8):
        await _charge(database, organization, f"{number + 1}.00000{number}", model=f"m{number}")
    await _charge(database, organization, "0.5", at=_NOW - timedelta(days=29))
    await _charge(database, organization, "9", at=_NOW - timedelta(days=31))

    text = (await owner_browser.get("/usage")).text

    assert f"{_NOW.day} {_NOW:%b}: 36.000028 credits, of it m7 8.000007" in text
    assert "36.500028" in text.partition("<tfoot")[2].partition("</tfoot>")[0]
    assert len(re.findall("data-day", text)) == 30
    assert text.count('<span class="sw c6">') == 4
    compared = (await owner_browser.get("/usage?split=model&pick=m6&pick=m7")).text
    assert "15.000013" in compared.partition("<tfoot")[2].partition("</tfoot>")[0]
    month = (await owner_browser.get(f"/usage?period={_NOW:%Y-%m}")).text
    assert len(re.findall("data-day", month)) == _NOW.day
    assert (await owner_browser.get("/usage?period=1999-13&split=x&pick=%00")).status_code == 200


async def test_open_holds_are_listed(owner_browser: Browser, database: Database, organization: Organization) -> None:
    async with database.transaction() as tx:
        await credits.hold(
            tx,
            Attribution(organization_id=organization.id, agent="painter"),
            reference=f"turn:open-{organization.id}",
            amount=Decimal("0.027115"),
            expires_in=timedelta(hours=1),
        )

    page, ledger = await owner_browser.get("/ledger/holds"), await owner_browser.get("/ledger")

    assert "0.027115" in page.text
    assert "painter" in page.text
    assert "1 open hold" in ledger.text


async def test_managers_set_alerts_and_everybody_sees_the_banner(
    browser_of: BrowserOf, owner_browser: Browser, database: Database, organization: Organization
) -> None:
    viewer = await browser_of("viewer")
    await owner_browser.submit("/usage/alerts", threshold="50")
    assert "Less than" not in (await viewer.get("/usage")).text

    added = await owner_browser.submit("/usage/alerts", threshold="1,000.5")
    banner = await viewer.get("/ledger")
    alert = re.search(r"/usage/alerts/(\d+)/remove", (await owner_browser.get("/usage")).text)
    assert alert
    removed = await owner_browser.submit(alert[0])

    assert (added.status_code, removed.status_code) == (303, 303)
    assert added.headers["Location"] == "/admin/usage#alerts"
    assert "Less than" in banner.text
    assert "1,000.5<i>00000</i>" in banner.text
    assert "Less than" not in (await viewer.get("/ledger")).text
    async with database.transaction() as tx:
        events = await tx.fetch(
            "SELECT event, actor_id FROM audit_events WHERE organization_id = $1 AND event LIKE 'credit_alert%'"
            " ORDER BY id",
            organization.id,
        )
    assert [(row["event"], row["actor_id"]) for row in events] == [
        ("credit_alert_added", organization.user_id),
        ("credit_alert_added", organization.user_id),
        ("credit_alert_removed", organization.user_id),
    ]


@pytest.mark.parametrize("threshold", ["0", "-1", "x", "", "0.0000001", "NaN", "1e30"])
async def test_an_amount_that_is_none_is_refused_and_kept(owner_browser: Browser, threshold: str) -> None:
    refused = await owner_browser.submit("/usage/alerts", threshold=threshold)

    assert refused.status_code == 422
    assert f'value="{threshold}"' in refused.text


async def test_the_same_alert_twice_and_too_many_are_refused(owner_browser: Browser) -> None:
    for number in range(1, 6):
        assert (await owner_browser.submit("/usage/alerts", threshold=str(number))).status_code == 303
        again = await owner_browser.submit("/usage/alerts", threshold=str(number))
        assert again.status_code == 422

    assert "as many as there may be" in (await owner_browser.submit("/usage/alerts", threshold="6")).text


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_only_managers_change_alerts(browser_of: BrowserOf, owner_browser: Browser, role: str) -> None:
    path = await _add_alert(owner_browser)
    browser = await browser_of(role)

    assert (await browser.submit("/usage/alerts", threshold="9")).status_code == 403
    assert (await browser.submit(path)).status_code == 403
    assert "Add alert" not in (await browser.get("/usage")).text
    assert (await owner_browser.get("/usage")).text.count("/remove") == 1


async def test_nobody_removes_the_alert_of_another_organization(
    browser_of: BrowserOf, owner_browser: Browser, database: Database
) -> None:
    path = await _add_alert(owner_browser)
    stranger = await browser_of("admin", await factories.make_organization(database))

    assert (await stranger.submit(path)).status_code == 404
    forged = await owner_browser.post(path, data={"csrf": "x"})

    assert forged.status_code == 403
    assert (await owner_browser.get("/usage")).text.count("/remove") == 1


async def _add_alert(browser: Browser) -> str:
    """Add an alert; returns the path that removes it."""
    await browser.submit("/usage/alerts", threshold="7")
    path = re.search(r"/usage/alerts/\d+/remove", (await browser.get("/usage")).text)
    assert path
    return path[0]
