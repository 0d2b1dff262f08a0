"""`/docs` and `/metrics`: what an operator's browser and Prometheus ask for."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import METRICS_TOKEN, Stack
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
async def visitor(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.url, timeout=PATIENCE) as opened:
        yield opened


async def test_the_page_is_whole_and_loads_nothing_from_elsewhere(visitor: httpx.AsyncClient) -> None:
    page = await visitor.get("/docs")

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [path for path in loaded if not path.startswith("/docs/")] == ["data:,"]
    for path in loaded[1:]:
        response = await visitor.get(path)
        assert (response.status_code, response.headers["x-content-type-options"]) == (200, "nosniff")
    start = await visitor.get("/docs/start.js")
    assert "/openapi.json" in start.text
    assert "://" not in page.text + start.text


async def test_a_browser_is_told_to_load_nothing_from_elsewhere(visitor: httpx.AsyncClient) -> None:
    policy = (await visitor.get("/docs")).headers["content-security-policy"].split("; ")

    assert "default-src 'none'" in policy
    allowed = {source for directive in policy for source in directive.split()[1:]}
    assert allowed == {"'none'", "'self'", "data:"}


@pytest.mark.parametrize("path", ["/redoc", "/docs/other.js", "/docs/..%2F__init__.py", "/docs/oauth2-redirect"])
async def test_there_is_nothing_else(visitor: httpx.AsyncClient, path: str) -> None:
    assert (await visitor.get(path)).status_code == 404


@pytest.mark.parametrize("shown", [f"Bearer {METRICS_TOKEN}", f"bearer {METRICS_TOKEN}"])
async def test_metrics_are_shown_to_the_bearer_of_the_token(visitor: httpx.AsyncClient, shown: str) -> None:
    response = await visitor.get("/metrics", headers={"Authorization": shown})

    assert (response.status_code, "junis_" in response.text) == (200, True)


@pytest.mark.parametrize(
    "shown",
    [METRICS_TOKEN, f"Basic {METRICS_TOKEN}", f"Bearer{METRICS_TOKEN}", "Bearer", "Bearer x"],
)
async def test_metrics_are_shown_to_nobody_else(visitor: httpx.AsyncClient, shown: str) -> None:
    assert (await visitor.get("/metrics", headers={"Authorization": shown})).status_code == 404
