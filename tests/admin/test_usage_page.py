"""The usage page: the chart and its table are the ledger's sums, and alerts are the managers'."""

import csv
import io
import re
from datetime import timedelta
from html import unescape

import pytest

from app.core.database import Database
from tests import factories
from tests.admin.charging import NOW, charge
from tests.admin.conftest import Browser, BrowserOf
from tests.factories import Organization


async def test_the_chart_and_its_table_are_the_ledgers_sums(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    for number in range(8):
        await charge(database, organization, f"{number + 1}.00000{number}", model=f"m{number}")
    await charge(database, organization, "0.5", at=NOW - timedelta(days=29))
    await charge(database, organization, "9", at=NOW - timedelta(days=31))

    text = (await owner_browser.get("/usage")).text

    assert f"{NOW.day} {NOW:%b}: 36.000028 credits, of it m7 8.000007" in text
    assert "36.500028" in text.partition("<tfoot")[2].partition("</tfoot>")[0]
    assert len(re.findall("data-day", text)) == 30
    assert text.count('<span class="sw c6">') == 4
    compared = (await owner_browser.get("/usage?split=model&pick=m6&pick=m7")).text
    assert "15.000013" in compared.partition("<tfoot")[2].partition("</tfoot>")[0]
    month = (await owner_browser.get(f"/usage?period={NOW:%Y-%m}")).text
    assert len(re.findall("data-day", month)) == NOW.day
    assert (await owner_browser.get("/usage?period=1999-13&split=x&pick=%00")).status_code == 200


async def test_the_file_has_the_exact_sums_of_each_day_and_name(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    await charge(database, organization, "0.000001", "0.2", model="=1+1")
    await charge(database, organization, "0.3", model="m", at=NOW - timedelta(days=8))
    await charge(database, organization, "9", model="m", at=NOW - timedelta(days=31))

    page = (await owner_browser.get("/usage?period=30")).text
    link = re.search(r'href="/admin(/usage/export\.csv\?[^"]+)"', page)
    assert link
    whole = await owner_browser.get(unescape(link[1]))
    picked = await owner_browser.get("/usage/export.csv?period=7&split=model&pick=m")
    by_user = await owner_browser.get("/usage/export.csv?split=user")

    assert whole.headers["Content-Type"].startswith("text/csv")
    assert f"usage-{(NOW - timedelta(days=29)).date()}-{NOW.date()}.csv" in whole.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(whole.text, newline="")))
    assert [(row["day"], row["model"], row["name"], row["calls"], row["credits"]) for row in rows] == [
        (str((NOW - timedelta(days=8)).date()), "m", "m", "1", "0.300000"),
        (str(NOW.date()), "'=1+1", "'=1+1", "2", "0.200001"),
    ]
    assert picked.text.count("\r\n") == 1
    users = list(csv.DictReader(io.StringIO(by_user.text, newline="")))
    assert {(row["user"], row["name"]) for row in users} == {(organization.user_id, owner_browser.email)}


async def test_the_file_is_of_those_alone_whom_the_page_is_of(
    browser_of: BrowserOf, anonymous_browser: Browser, database: Database, organization: Organization
) -> None:
    member = await browser_of("member")
    await charge(database, organization, "0.25", user=member.user_id, model="own")
    await charge(database, organization, "0.5", model="others")
    await charge(database, await factories.make_organization(database), "0.125", model="elsewhere")

    mine = (await member.get("/usage/export.csv")).text
    forbidden = (await member.get("/usage/export.csv?split=user")).text
    everything = (await (await browser_of("viewer")).get("/usage/export.csv")).text
    operator = await browser_of("member", None, is_operator=True)

    assert [name in mine for name in ("own", "others", "elsewhere")] == [True, False, False]
    assert [name in everything for name in ("own", "others", "elsewhere")] == [True, True, False]
    assert forbidden.startswith("day,model,")
    assert (await operator.get("/usage/export.csv")).status_code == 404
    assert (await anonymous_browser.get("/usage/export.csv")).status_code == 303


async def test_managers_set_alerts_and_everybody_sees_the_banner(
    browser_of: BrowserOf, owner_browser: Browser, database: Database, organization: Organization
) -> None:
    viewer = await browser_of("viewer")
    await owner_browser.submit("/usage/alerts", threshold="50")
    assert "Less than" not in (await viewer.get("/usage")).text

    added = await owner_browser.submit("/usage/alerts", threshold="1,000.5")
    banner = await viewer.get("/ledger")
    removed = await owner_browser.submit("/usage/alerts/1000.5/remove", confirm="1000.5")

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
    assert (await browser.get(path)).status_code == 403
    assert (await browser.submit(path, confirm="7")).status_code == 403
    assert "Add alert" not in (await browser.get("/usage")).text
    assert (await owner_browser.get("/usage")).text.count("/remove") == 1


async def test_nobody_removes_the_alert_of_another_organization(
    browser_of: BrowserOf, owner_browser: Browser, database: Database
) -> None:
    path = await _add_alert(owner_browser)
    stranger = await browser_of("admin", await factories.make_organization(database))

    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.submit(path, confirm="7")).status_code == 404
    forged = await owner_browser.post(path, data={"csrf": "x", "confirm": "7"})

    assert forged.status_code == 403
    assert (await owner_browser.get("/usage")).text.count("/remove") == 1


async def test_removing_an_alert_says_what_it_stops_and_asks_for_the_amount(owner_browser: Browser) -> None:
    path = await _add_alert(owner_browser)

    asked = await owner_browser.get(path)
    refused = [await owner_browser.submit(path, confirm=typed) for typed in ("", "70", "x", "7.000001")]
    still = (await owner_browser.get("/usage")).text.count("/remove")
    removed = await owner_browser.submit(path, confirm="7.0")

    assert asked.status_code == 200
    for said in ("Remove the alert below 7?", "Type <code>7</code> to go on", "It is the only one"):
        assert said in asked.text
    assert [(each.status_code, "removed." in each.text) for each in refused][1] == (422, True)
    assert [each.status_code for each in refused] == [422] * 4
    assert 'value="70"' in refused[1].text
    assert (still, removed.status_code) == (1, 303)
    assert "/remove" not in (await owner_browser.get("/usage")).text


async def _add_alert(browser: Browser) -> str:
    """Add an alert; returns the path that removes it."""
    await browser.submit("/usage/alerts", threshold="7")
    path = "/usage/alerts/7/remove"
    assert f'href="/admin{path}"' in (await browser.get("/usage")).text
    return path
