"""Signing in to the console, and what a session is."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from app.accounts.signed_in import ABSOLUTE_END, IDLE_END
from app.admin.sign_in.cookies import DEVICE_COOKIE, SESSION_COOKIE
from app.core.crypto import sha256
from app.core.database import Database
from tests.admin.conftest import PASSWORD, Browser, BrowserOf, token_in
from tests.conftest import METRICS_TOKEN, Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis


def session_of(browser: Browser) -> str:
    """The token in the browser's session cookie."""
    token = browser.cookies.get(SESSION_COOKIE, path="/admin")
    assert token
    return token


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


async def test_every_sign_in_begins_a_session_with_a_new_token(stack: Stack, owner_browser: Browser) -> None:
    """A token that somebody has planted in the browser is worth nothing."""
    planted = session_of(owner_browser)
    async with Browser(stack, email=owner_browser.email, organization=None) as victim:
        victim.cookies.set(SESSION_COOKIE, "a" * 43, path="/admin", domain="127.0.0.1")
        await victim.sign_in()
        fresh = session_of(victim)

    again = await owner_browser.get("/sign-out")
    async with Browser(stack, organization=None) as thief:
        thief.cookies.set(SESSION_COOKIE, "a" * 43, path="/admin", domain="127.0.0.1")
        stolen = await thief.get("/account")

    assert again.status_code in {404, 405}
    assert len({planted, fresh, "a" * 43}) == 3
    assert stolen.status_code == 303


async def test_signing_in_again_ends_the_session_that_the_browser_had(
    stack: Stack, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    member = await browser_of("member")
    former = session_of(owner_browser)
    page = await member.get("/sign-in")
    assert page.status_code == 303  # signed in already

    async with Browser(stack, organization=None) as elsewhere:
        door = await elsewhere.get("/sign-in")
        owner_browser.cookies.update(elsewhere.cookies)
    form = {"csrf": token_in(door), "email": member.email, "password": PASSWORD}
    entered = await owner_browser.post("/sign-in", data=form)

    assert entered.status_code == 303
    assert session_of(owner_browser) != former
    assert await is_dead(stack, former)


async def is_dead(stack: Stack, token: str) -> bool:
    """Whether a copy of a session's cookie opens nothing."""
    async with Browser(stack, organization=None) as thief:
        thief.cookies.set(SESSION_COOKIE, token, path="/admin", domain="127.0.0.1")
        return (await thief.get("/account")).status_code == 303


async def test_a_copy_of_the_cookie_is_dead_after_signing_out(stack: Stack, owner_browser: Browser) -> None:
    stolen = session_of(owner_browser)
    assert not await is_dead(stack, stolen)

    left = await owner_browser.submit("/sign-out")

    assert (left.status_code, left.headers["location"]) == (303, "/admin/sign-in")
    assert await is_dead(stack, stolen)


@pytest.mark.parametrize(("column", "end"), [("last_seen_at", IDLE_END), ("created_at", ABSOLUTE_END)])
async def test_a_session_ends_by_itself(
    database: Database, owner_browser: Browser, column: str, end: timedelta
) -> None:
    async def set_back(by: timedelta) -> None:
        async with database.transaction() as tx:
            await tx.execute(
                f"UPDATE console_sessions SET {column} = now() - $2::interval WHERE token_hash = $1",
                sha256(session_of(owner_browser)),
                by,
            )

    await set_back(end - timedelta(minutes=1))
    before = await owner_browser.get("/account")
    await set_back(end + timedelta(minutes=1))
    after = await owner_browser.get("/account")

    assert (before.status_code, after.status_code) == (200, 303)


async def test_using_a_session_keeps_it_from_its_idle_end(database: Database, owner_browser: Browser) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE console_sessions SET last_seen_at = now() - interval '2 hours' WHERE user_id = $1",
            owner_browser.user_id,
        )

    await owner_browser.get("/account")

    async with database.transaction() as tx:
        is_fresh = await tx.fetchval(
            "SELECT bool_and(last_seen_at > now() - interval '1 hour') FROM console_sessions WHERE user_id = $1",
            owner_browser.user_id,
        )
    assert is_fresh


async def test_neither_the_token_nor_the_password_is_stored(database: Database, owner_browser: Browser) -> None:
    async with database.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT row_to_json(s)::text AS session, row_to_json(u)::text AS owner FROM console_sessions s"
            " JOIN users u ON u.id = s.user_id WHERE u.id = $1",
            owner_browser.user_id,
        )

    assert row
    assert session_of(owner_browser) not in row["session"]
    assert "$argon2id$" in row["owner"]
    assert PASSWORD not in row["owner"]


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


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    anonymous_browser: Browser, owner_browser: Browser
) -> None:
    entered = await anonymous_browser.sign_in(owner_browser.email)

    for name in (SESSION_COOKIE, DEVICE_COOKIE):
        set_cookie = next(value for value in entered.headers.get_list("set-cookie") if value.startswith(f"{name}="))
        parts = {part.strip().lower() for part in set_cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/admin"} <= parts
        assert "secure" not in parts  # over plain HTTP browsers would not send it back


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


async def test_signing_in_slows_down_and_still_lets_the_right_password_in(
    stack: Stack, owner_browser: Browser, organization: Organization
) -> None:
    async with Browser(stack, organization=None) as guesser, Browser(stack, organization=None) as owner:
        refusals = [await guesser.sign_in(owner_browser.email, f"guess {number}") for number in range(6)]

        slowed = await owner.sign_in(owner_browser.email)

    texts = [re.search(r"match\. ([^<]*)<", refused.text) for refused in refusals]
    assert [text[1] if text else None for text in texts] == [
        *(f"{left} tries left before it slows down." for left in (4, 3, 2)),
        "1 try left before it slows down.",
        "The next try takes 1 s longer.",
        "The next try takes 2 s longer.",
    ]
    assert slowed.elapsed > timedelta(seconds=2)
    assert slowed.status_code == 303


async def fail_often(database: Database, browser: Browser) -> None:
    """Let signing in as the browser's user have failed so often that it takes the longest."""
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO sign_in_attempts (email_hash, address, device_hash, has_succeeded)"
            " SELECT $1, '192.0.2.1', $2, false FROM generate_series(1, 12)",
            sha256(browser.email.lower()),
            sha256("of a guesser"),
        )


async def test_a_browser_that_has_signed_in_before_is_not_slowed_down_by_others(
    database: Database, owner_browser: Browser
) -> None:
    await owner_browser.submit("/sign-out")
    await fail_often(database, owner_browser)

    refused = await owner_browser.sign_in(password="a slip")
    entered = await owner_browser.sign_in()

    assert "4 tries left" in refused.text
    assert entered.status_code == 303


async def test_few_attempts_of_an_address_wait_at_once(
    stack: Stack, database: Database, owner_browser: Browser
) -> None:
    """The others are told to come back, and the page keeps the address that was typed."""
    await fail_often(database, owner_browser)
    async with Browser(stack, organization=None) as browser:
        page = await browser.get("/sign-in")
        form = {"csrf": token_in(page), "email": owner_browser.email, "password": "guess"}

        responses = await asyncio.gather(*(browser.post("/sign-in", data=form) for _ in range(12)))

    refused = [response for response in responses if response.status_code == 429]
    assert sorted(response.status_code for response in responses) == [422] * 10 + [429] * 2
    assert {response.headers["retry-after"] for response in refused} == {"8"}
    assert "Try again in 8 seconds." in refused[0].text
    assert owner_browser.email in refused[0].text


async def test_an_address_that_fails_with_many_users_is_slowed_down(
    environment: dict[str, str], run_folder: Path
) -> None:
    settings = {**environment, "FAILED_ATTEMPTS_PER_MINUTE": "2", "TRUSTED_PROXIES": "127.0.0.1"}
    api = api_process(settings, run_folder / "api-of-guesses.log")
    async with running_apis(api), httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        page = await client.get("/admin/sign-in")

        async def guess(address: str, number: int) -> str:
            form = {"csrf": token_in(page), "email": f"guess-{number}@example.com", "password": "x"}
            return (await client.post("/admin/sign-in", data=form, headers={"X-Forwarded-For": address})).text

        texts = [await guess("198.51.100.7", number) for number in range(3)]
        elsewhere = await guess("198.51.100.8", 4)

    assert ["takes 1 s longer" in text for text in texts] == [False, True, False]
    assert "takes 2 s longer" in texts[2]
    assert "1 try left" in elsewhere


async def test_behind_tls_the_cookie_is_sent_over_nothing_else(environment: dict[str, str], run_folder: Path) -> None:
    """Whether the browser came by TLS is known from a trusted proxy. Anybody else could say so."""
    api = api_process({**environment, "TRUSTED_PROXIES": "127.0.0.1"}, run_folder / "api-behind-tls.log")
    async with running_apis(api), httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        by_tls = await client.get("/admin/sign-in", headers={"X-Forwarded-Proto": "https"})
        plain = await client.get("/admin/sign-in", headers={"X-Forwarded-Proto": "http"})

    assert "; Secure" in by_tls.headers["set-cookie"]
    assert "; Secure" not in plain.headers["set-cookie"]


async def test_what_a_stranger_says_of_tls_is_not_believed(anonymous_browser: Browser) -> None:
    page = await anonymous_browser.get("/sign-in", headers={"X-Forwarded-Proto": "https"})

    assert "; Secure" not in page.headers["set-cookie"]
