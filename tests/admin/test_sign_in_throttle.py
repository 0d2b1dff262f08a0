"""Guessing passwords: it slows down whoever guesses, and nobody else."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import httpx

from app.core.crypto import sha256
from app.core.database import Database
from tests.admin.conftest import Browser, token_in
from tests.conftest import Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis


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
