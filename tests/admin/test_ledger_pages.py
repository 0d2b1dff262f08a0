"""The ledger over HTTP: who sees what, exact sums, filters, exports."""

import base64
import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database
from app.credits import service as credits
from app.credits.grants import grant_manually
from tests import factories
from tests.admin.charging import NOW, charge
from tests.admin.conftest import Browser, BrowserOf
from tests.factories import Organization

_AMOUNT = re.compile(r'<dd(?: class="sum")?><span class="m">([^<]*)(?:<i>([^<]*)</i>)?</span></dd>')


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
    for path in ("/usage", "/ledger", "/ledger/turn:1", "/ledger/holds", "/ledger/export.csv"):
        response = await anonymous_browser.get(path)
        assert response.status_code == 303
        assert response.headers["Location"].startswith("/admin/sign-in")
    operator = await browser_of("member", None, is_operator=True)
    assert (await operator.get("/usage")).status_code == 404


async def test_members_see_what_they_have_spent_and_others_see_everything(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    member, viewer = await browser_of("member"), await browser_of("viewer")
    own = await charge(database, organization, "0.25", user=member.user_id)
    others = await charge(database, organization, "0.5")

    assert (await member.get(f"/ledger/{own}")).status_code == 200
    assert (await member.get(f"/ledger/{others}")).status_code == 404
    assert "0.25<i>0000</i>" in (await member.get("/usage")).text
    assert "0.75<i>0000</i>" in (await viewer.get("/usage")).text
    assert (await viewer.get(f"/ledger/{others}")).status_code == 200
    exported = (await member.get("/ledger/export.json")).json()["entries"]
    assert [entry["reference"] for entry in exported] == [own]
    stolen = (await member.get("/ledger/export.json", params={"user": organization.user_id})).json()
    assert stolen["entries"] == []
    assert "Balance after" not in (await member.get("/ledger")).text
    assert "split=user" not in (await member.get("/usage")).text


async def test_other_organizations_have_no_entries_here(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    other = await factories.make_organization(database)
    entry = await charge(database, other, "0.125")

    assert (await owner_browser.get(f"/ledger/{entry}")).status_code == 404
    assert "0.125" not in (await owner_browser.get("/usage")).text
    exported = (await owner_browser.get("/ledger/export.json")).json()["entries"]
    assert entry not in [row["reference"] for row in exported]
    for strange in ("0", "x", "99999999999999999999", "a%00b", "x" * 5000):
        assert (await owner_browser.get(f"/ledger/{strange}")).status_code == 404


async def test_nothing_of_a_page_tells_how_many_entries_there_are_in_all(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    """Ids count the entries, holds and alerts of all organizations."""
    for number in range(55):
        await charge(database, organization, f"0.0001{number:02}", at=NOW - timedelta(minutes=number))
    await owner_browser.submit("/usage/alerts", threshold="7")
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT id FROM ledger_entries WHERE organization_id = $1 UNION ALL"
            " SELECT id FROM credit_holds WHERE organization_id = $1",
            organization.id,
        )
        # Long numbers, so that no sum or time looks like one by accident.
        assert all(row["id"] < 10**9 for row in rows)
    ids = {str(row["id"]) for row in rows}

    listed = await owner_browser.get("/ledger")
    cursor = re.search(r'cursor=([\w-]+)" rel="next"', listed.text)
    assert cursor
    position = base64.urlsafe_b64decode(cursor[1] + "=" * (-len(cursor[1]) % 4)).decode()
    texts = [listed.text, (await owner_browser.get("/usage")).text, position]
    columns = (await owner_browser.get("/ledger/export.csv")).text.splitlines()[0].split(",")

    named = {found for text in texts for found in re.findall(r"/(?:ledger|alerts)/(\d+)(?=[\"/?])", text)}
    assert not (named - {"7"}) & ids
    assert position.startswith('["turn:')
    assert "id" not in columns


@pytest.mark.parametrize(
    ("costs", "charged"),
    [(["0.000001"], None), (["0.1", "0.020002", "0.3"], None), (["0.4", "0.4"], "0.500001"), (["0.001"] * 130, None)],
    ids=["one", "three", "not-covered", "many"],
)
async def test_the_lines_of_an_entry_add_up_to_it(
    owner_browser: Browser, database: Database, organization: Organization, costs: list[str], charged: str | None
) -> None:
    entry = await charge(database, organization, *costs, charged=charged)

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
        entry = await tx.fetchval("SELECT reference FROM ledger_entries WHERE reference LIKE $1", f"%{reference}")

    page = await owner_browser.get(f"/ledger/{quote(entry, safe='')}")

    assert "+12.5<i>00000</i>" in page.text
    assert "Paid &lt;b&gt;" in page.text
    assert "<b>" not in page.text.partition("<main")[2]


async def test_filters_find_entries_and_stay_in_the_pages(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    for number in range(55):
        await charge(database, organization, f"0.0001{number:02}", at=NOW - timedelta(minutes=number))
    other = await charge(database, organization, "0.7", model="sim-chat")

    first = await owner_browser.get("/ledger", params={"kind": "charge", "model": "sim-metered"})
    older = re.search(r'href="/admin(/ledger\?cursor=[^"]+)" rel="next"', first.text)
    assert older
    second = await owner_browser.get(older[1].replace("&amp;", "&"))
    rows = [len(re.findall(r'class="hit" href="/admin/ledger/', page.text)) for page in (first, second)]
    by_model = await owner_browser.get("/ledger", params={"model": "sim-chat"})
    by_reference = await owner_browser.get("/ledger", params={"search": other})
    nothing = await owner_browser.get("/ledger", params={"search": "nothing", "kind": "grant"})

    assert rows == [50, 5]
    for page in (by_model, by_reference):
        assert re.findall(r'class="hit" href="/admin/ledger/([^"?]+)', page.text) == [quote(other, safe="")]
    assert "Remove filters" in nothing.text
    assert (await owner_browser.get("/ledger?cursor=rubbish&first=rubbish&kind=x")).status_code == 200


async def test_an_export_is_exact_quoted_and_free_of_formulas(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await charge(database, organization, "0.000001")
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

    assert len({entry["reference"] for entry in entries}) == len(entries) == 2501
    assert [line[0] for line in lines[1:]] == [entry["reference"] for entry in entries]


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
