"""Requests reach the routes that the framework would lead them to."""

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from app.core.direct_routes import lead_directly
from app.core.request_targets import accept_doubled_slashes

PATHS = ["/", "/a", "/a/", "//a", "/a/one", "/a/last", "/a/one/two", "/b/one", "/b/1", "/b/1/x/y", "/c"]
METHODS = ["GET", "POST", "PUT", "OPTIONS"]


def application() -> FastAPI:
    """An application whose routes overlap, some of them in routers within routers."""
    app = FastAPI(redirect_slashes=False)
    inner, outer = APIRouter(prefix="/a"), APIRouter()

    async def show(request: Request) -> dict[str, object]:
        return {"route": request.scope["route"].name, "parameters": request.path_params}

    inner.add_api_route("", show, name="a")
    inner.add_api_route("/one", show, name="one", methods=["POST"])
    inner.add_api_route("/{name}", show, name="any", methods=["GET", "PUT"])
    inner.add_api_route("/last", show, name="hidden for GET", methods=["GET", "POST"])
    outer.include_router(inner)
    outer.add_api_route("/b/{number:int}", show, name="number")
    outer.add_api_route("/b/{rest:path}", show, name="rest", methods=["GET", "POST"])
    app.include_router(outer)
    app.add_api_route("/c", show, name="c")
    accept_doubled_slashes(app)
    return app


@pytest.fixture
async def both() -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of the application as the framework routes, and as requests are led directly."""
    framework, direct = application(), application()
    lead_directly(direct)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(framework), base_url="http://api") as plain,
        httpx.AsyncClient(transport=httpx.ASGITransport(direct), base_url="http://api") as led,
    ):
        yield plain, led


@pytest.mark.parametrize(("method", "path"), list(itertools.product(METHODS, PATHS)))
async def test_every_request_is_led_as_the_framework_leads_it(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], method: str, path: str
) -> None:
    plain, led = [await client.request(method, f"http://api{path}") for client in both]

    # The framework names the methods of the first route of the path only.
    named = [set(client.headers.pop("Allow", "").split(", ")) for client in (plain, led)]
    assert (led.status_code, led.content, led.headers) == (plain.status_code, plain.content, plain.headers)
    assert named[0] <= named[1]


async def test_a_refused_method_is_told_those_of_all_routes_of_the_path(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    _, led = both

    refused = [await led.delete(path) for path in ("/a", "/a/one", "/a/last", "/b/1")]

    assert [response.status_code for response in refused] == [405] * 4
    assert [response.headers["Allow"] for response in refused] == ["GET", *["GET, POST, PUT"] * 2, "GET, POST"]


async def test_a_plain_path_is_not_preferred_to_an_earlier_route_with_a_parameter(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    _, led = both

    assert (await led.get("/a/last")).json() == {"route": "any", "parameters": {"name": "last"}}
    assert (await led.post("/a/last")).json() == {"route": "hidden for GET", "parameters": {}}
