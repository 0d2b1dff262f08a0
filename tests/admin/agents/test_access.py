"""Who sees and who changes agents."""

import pytest

from app.core.database import Database
from tests import factories
from tests.admin.agents.forms import LONG_NAME, TEAM
from tests.admin.conftest import Browser, BrowserOf
from tests.agents.definitions import agent, agents_file
from tests.agents.editing import edited
from tests.factories import Organization


@pytest.mark.parametrize(
    "path",
    ["/agents", "/agents/host", "/agents/crew", f"/agents/{LONG_NAME}", "/agents/host/history", "/agents/export.toml"],
)
async def test_everybody_of_the_organization_sees_its_agents(browser_of: BrowserOf, path: str) -> None:
    for role in ("owner", "viewer"):
        assert (await (await browser_of(role)).get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/agents/new", "/agents/import", "/agents/writer/delete"])
async def test_only_owners_and_admins_change_agents(
    browser_of: BrowserOf, anonymous_browser: Browser, path: str
) -> None:
    seen = {role: (await (await browser_of(role)).get(path)).status_code for role in ("owner", "admin", "member")}
    viewer = await browser_of("viewer")
    refused = [await viewer.submit(each) for each in (path, "/agents/writer", "/agents/writer/history")]

    assert seen == {"owner": 200, "admin": 200, "member": 403}
    assert [each.status_code for each in refused] == [403, 403, 403]
    assert (await anonymous_browser.get(path)).status_code == 303


async def test_members_look_at_an_agent_without_a_form(browser_of: BrowserOf) -> None:
    page = await (await browser_of("member")).get("/agents/writer")

    assert "Write.\nShort." in page.text
    assert 'name="instruction"' not in page.text
    assert "Delete" not in page.text


async def test_another_organizations_agents_do_not_exist(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    other = await factories.make_organization(database, agents=agents_file(TEAM[0] | {"sub_agents": []}, agent("poet")))
    theirs = (await edited(database, other, "poet")).id

    for path in ("/agents/poet", f"/agents/{theirs}", "/agents/poet/history", "/agents/poet/delete"):
        assert (await owner_browser.get(path)).status_code == 404
        assert (await owner_browser.submit(path, typed="poet")).status_code == 404
    assert "poet" not in (await owner_browser.get("/agents/export.toml")).text
    assert (await owner_browser.get("/agents/new?copy_of=poet")).status_code == 404
