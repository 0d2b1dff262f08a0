"""What signing in begins: a session of its own token, its end, and its cookie."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.accounts.signed_in import ABSOLUTE_END, IDLE_END
from app.admin.sign_in.cookies import DEVICE_COOKIE, SESSION_COOKIE
from app.core.crypto import sha256
from app.core.database import Database
from tests.admin.conftest import Browser, BrowserOf, token_in
from tests.conftest import Stack
from tests.programs import api_process, running_apis
from tests.signed_in import PASSWORD


def session_of(browser: Browser) -> str:
    """The token in the browser's session cookie."""
    token = browser.cookies.get(SESSION_COOKIE, path="/admin")
    assert token
    return token


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


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    anonymous_browser: Browser, owner_browser: Browser
) -> None:
    entered = await anonymous_browser.sign_in(owner_browser.email)

    for name in (SESSION_COOKIE, DEVICE_COOKIE):
        set_cookie = next(value for value in entered.headers.get_list("set-cookie") if value.startswith(f"{name}="))
        parts = {part.strip().lower() for part in set_cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/admin"} <= parts
        assert "secure" not in parts  # over plain HTTP browsers would not send it back


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
