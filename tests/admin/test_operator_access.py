"""Pages of operators: whoever runs the server sees them, and to everybody else they do not exist."""

import pytest

from tests.admin.conftest import Browser, BrowserOf

PAGES = [
    "/organizations",
    "/organizations/new",
    "/organizations/{id}",
    "/organizations/{id}/subscription",
    "/plans",
    "/plans/new",
    "/plans/basic",
    "/catalog",
    "/catalog/new",
    "/catalog/import",
    "/catalog/export.toml",
    "/catalog/simulator/image",
    "/system",
]
FORMS = [
    "/organizations/new",
    "/organizations/{id}/credits",
    "/organizations/{id}/plan",
    "/organizations/{id}/subscription",
    "/organizations/{id}/open",
    "/plans/new",
    "/plans/basic",
    "/catalog/new",
    "/catalog/import",
    "/catalog/simulator/image",
]


@pytest.mark.parametrize("role", ["owner", "admin", "member", "viewer"])
async def test_pages_of_operators_do_not_exist_for_others(browser_of: BrowserOf, role: str) -> None:
    browser = await browser_of(role)
    assert browser.organization is not None

    for path in PAGES:
        assert (await browser.get(path.format(id=browser.organization.id))).status_code == 404
    for path in FORMS:
        assert (await browser.submit(path.format(id=browser.organization.id))).status_code == 404


async def test_an_operator_without_an_organization_sees_them(browser_of: BrowserOf) -> None:
    member = await browser_of("owner")
    browser = await browser_of("member", of=None, is_operator=True)
    assert member.organization is not None

    for path in [*PAGES, "/audit"]:
        assert (await browser.get(path.format(id=member.organization.id))).status_code == 200
    assert (await browser.get("/organizations/org-of-nobody")).status_code == 404


async def test_who_is_not_signed_in_is_led_to_the_door(anonymous_browser: Browser) -> None:
    for path in PAGES:
        found = await anonymous_browser.get(path.format(id="x"))
        assert found.status_code == 303
