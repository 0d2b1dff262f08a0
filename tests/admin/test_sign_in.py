"""Signing in to the console, and what a session is."""

import re

import pytest
from argon2 import PasswordHasher

from app.admin.sign_in.cookies import SESSION_COOKIE
from app.core.database import Database
from tests.admin.conftest import Browser, BrowserOf, token_in
from tests.conftest import METRICS_TOKEN, Stack
from tests.signed_in import PASSWORD


async def test_the_right_password_opens_the_page_that_was_asked_for(
    anonymous_browser: Browser, owner_browser: Browser
) -> None:
    asked = await anonymous_browser.get("/account?x=1")

    page = await anonymous_browser.get(asked.headers["location"].removeprefix("/admin"))
    entered = await anonymous_browser.sign_in(owner_browser.email, PASSWORD, next="/admin/account?x=1")

    assert asked.status_code == 303
    assert 'value="/admin/account?x=1"' in page.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin/account?x=1")


async def test_a_wrong_password_is_refused_and_what_was_typed_is_kept(
    anonymous_browser: Browser, owner_browser: Browser
) -> None:
    refused = await anonymous_browser.sign_in(owner_browser.email, "wrong-horse")

    assert refused.status_code == 422
    assert "E-mail and password do not match. 4 tries left" in refused.text
    assert owner_browser.email in refused.text
    assert "wrong-horse" not in refused.text
    assert SESSION_COOKIE not in anonymous_browser.cookies


async def test_an_unknown_address_is_refused_in_the_same_words(anonymous_browser: Browser) -> None:
    refused = await anonymous_browser.sign_in("nobody-at-all@example.com", PASSWORD)

    assert refused.status_code == 422
    assert "E-mail and password do not match. 4 tries left" in refused.text


async def test_one_password_is_checked_for_known_and_unknown_addresses_alike(
    stack: Stack, anonymous_browser: Browser, owner_browser: Browser
) -> None:
    async def checks() -> float:
        headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        text = (await anonymous_browser.get(f"{stack.url}/metrics", headers=headers)).text
        found = re.search(r"^junis_password_checks_total (\S+)$", text, re.MULTILINE)
        assert found
        return float(found[1])

    before = await checks()
    await anonymous_browser.sign_in("nobody-at-all@example.com", PASSWORD)
    between = await checks()
    await anonymous_browser.sign_in(owner_browser.email, "wrong-horse")

    assert (between - before, await checks() - between) == (1, 1)


@pytest.mark.parametrize("field", ["email", "password"])
async def test_what_is_missing_is_named(anonymous_browser: Browser, field: str) -> None:
    page = await anonymous_browser.get("/sign-in")
    form = {"csrf": token_in(page), "email": "ada@example.com", "password": "x", field: ""}

    refused = await anonymous_browser.post("/sign-in", data=form)

    assert refused.status_code == 422
    assert f'id="{field}-e"' in refused.text


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/admin",
        "/\\evil.example",
        "/admin//evil.example",
        "/admin/\\evil.example",
        "/admin/\tx",
        "/adminx",
        "/api/external",
        "javascript:alert(1)",
        "/admin/" + "x" * 3000,
    ],
    ids=range(10),
)
async def test_signing_in_leads_to_no_other_site(
    anonymous_browser: Browser, owner_browser: Browser, elsewhere: str
) -> None:
    entered = await anonymous_browser.sign_in(owner_browser.email, next=elsewhere)

    assert (entered.status_code, entered.headers["location"]) == (303, "/admin/")


async def test_a_password_is_hashed_again_if_the_parameters_have_changed(
    database: Database, owner_browser: Browser
) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with database.transaction() as tx:
        await tx.execute("UPDATE users SET password_hash = $2 WHERE id = $1", owner_browser.user_id, weak)

    await owner_browser.submit("/sign-out")
    entered, _, again = [
        await owner_browser.sign_in(),
        await owner_browser.submit("/sign-out"),
        await owner_browser.sign_in(),
    ]

    async with database.transaction() as tx:
        stored = await tx.fetchval("SELECT password_hash FROM users WHERE id = $1", owner_browser.user_id)
    assert (entered.status_code, again.status_code) == (303, 303)
    assert not PasswordHasher().check_needs_rehash(stored)


async def test_only_operators_are_told_that_their_pages_exist(
    owner_browser: Browser, browser_of: BrowserOf, anonymous_browser: Browser
) -> None:
    """An operator needs no organization."""
    operator = await browser_of("member", None, is_operator=True)

    start = await operator.get("/")
    statuses = [(await browser.get("/system")).status_code for browser in (operator, owner_browser, anonymous_browser)]

    assert (start.status_code, start.headers["location"]) == (303, "/admin/organizations")
    assert statuses == [200, 404, 303]


async def test_a_form_without_the_sessions_token_changes_nothing(owner_browser: Browser, browser_of: BrowserOf) -> None:
    other = await browser_of("member")

    refusals = [
        await owner_browser.post("/account/name", data={"name": "Eve", "csrf": csrf})
        for csrf in ("", "x", other.csrf, owner_browser.csrf[:-1])
    ]
    without = await owner_browser.post("/account/name", data={"name": "Eve"})
    page = await owner_browser.get("/account")

    assert [response.status_code for response in [*refusals, without]] == [403] * 5
    assert "Eve" not in page.text


async def test_a_form_of_an_earlier_session_is_stale(owner_browser: Browser) -> None:
    stale = owner_browser.csrf
    await owner_browser.submit("/sign-out")
    await owner_browser.sign_in()

    refused = await owner_browser.post("/account/name", data={"name": "Eve", "csrf": stale})

    assert refused.status_code == 403


async def test_the_form_for_signing_in_has_a_token_too(anonymous_browser: Browser, owner_browser: Browser) -> None:
    """Else another site could sign a reader in as somebody else, and see what they do."""
    form = {"email": owner_browser.email, "password": PASSWORD}

    refused = await anonymous_browser.post("/sign-in", data=form)
    forged = await anonymous_browser.post("/sign-in", data={**form, "csrf": owner_browser.csrf})

    assert (refused.status_code, forged.status_code) == (403, 403)
    assert SESSION_COOKIE not in anonymous_browser.cookies


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303), (None, 303)]
)
async def test_forms_of_other_sites_are_refused(owner_browser: Browser, site: str | None, status: int) -> None:
    headers = {"Sec-Fetch-Site": site} if site else {}

    sent = await owner_browser.post("/account/name", data={"name": "Ada", "csrf": owner_browser.csrf}, headers=headers)

    assert sent.status_code == status
