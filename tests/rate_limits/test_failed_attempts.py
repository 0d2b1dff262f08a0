"""Clients that guess keys are limited by address; clients with a valid key are not."""

import secrets

import httpx
import pytest

from tests.factories import Organization
from tests.rate_limits.conftest import WatchedApi
from tests.rate_limits.responses import window

UNKNOWN_KEY = {"X-API-Key": f"jns_live_{'0' * 32}"}


def new_address() -> str:
    """An address without failed attempts."""
    return f"198.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


@pytest.fixture
async def anyone(watched_api: WatchedApi) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=watched_api.base_url, timeout=30)


async def test_an_address_that_fails_too_often_is_refused_and_a_valid_key_from_it_passes(
    anyone: httpx.AsyncClient, organization: Organization
) -> None:
    forwarded = {"X-Forwarded-For": new_address()}
    async with anyone:
        failed = [
            await anyone.get("/credits", headers=forwarded),
            await anyone.get("/credits", headers=forwarded | {"X-API-Key": "malformed"}),
            await anyone.get("/credits", headers=forwarded | UNKNOWN_KEY),
        ]
        refused = [await anyone.get("/credits", headers=forwarded | UNKNOWN_KEY) for _ in range(2)]
        valid = await anyone.get("/credits", headers=forwarded | organization.headers)
        elsewhere = await anyone.get("/credits", headers=UNKNOWN_KEY | {"X-Forwarded-For": new_address()})

    assert [response.status_code for response in failed] == [401, 401, 401]
    assert [window(response) for response in failed] == [(3, 2), (3, 1), (3, 0)]
    for response in refused:
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert window(response) == (3, 0)
    assert valid.status_code == 200
    assert window(valid)[0] == 100_000
    assert (elsewhere.status_code, window(elsewhere)) == (401, (3, 2))


@pytest.mark.parametrize("forged", ["203.0.113.{number}, {address}", "{address}, 10.1.2.3", "junk {number},{address}"])
async def test_header_entries_that_no_trusted_proxy_wrote_are_ignored(anyone: httpx.AsyncClient, forged: str) -> None:
    address = new_address()
    async with anyone:
        responses = [
            await anyone.get("/credits", headers={"X-Forwarded-For": forged.format(number=number, address=address)})
            for number in range(5)
        ]

    assert [response.status_code for response in responses] == [401, 401, 401, 429, 429]


async def test_an_ipv6_network_counts_as_one_address(anyone: httpx.AsyncClient) -> None:
    network = f"2001:db8:{secrets.randbelow(0xFFFF):x}:{secrets.randbelow(0xFFFF):x}"
    async with anyone:
        responses = [
            await anyone.get("/credits", headers={"X-Forwarded-For": f"{network}::{number}"}) for number in range(1, 5)
        ]

    assert [response.status_code for response in responses] == [401, 401, 401, 429]


async def test_without_a_trusted_proxy_the_header_is_ignored(client: httpx.AsyncClient) -> None:
    headers = [UNKNOWN_KEY | {"X-Forwarded-For": new_address()} for _ in range(3)]

    responses = [await client.get("/credits", headers=each) for each in headers]

    # All three count for the address that they really came from.
    assert all(limit - remaining > number for number, (limit, remaining) in enumerate(map(window, responses)))
