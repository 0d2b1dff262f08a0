"""A thin route responds as the framework's own route with the same signature does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app.core.direct_routes import lead_directly
from app.core.thin_routes import NO_BODY, Handler, ThinRoute


class Asked(BaseModel):
    words: list[str] = Field(min_length=1)
    times: int = 1


class Told(BaseModel):
    said: str
    left_out: str | None = None


class Thin(ThinRoute):
    def get_route_handler(self) -> Handler:
        handle = self.thin_handler()

        async def handled(request: Request) -> Response:
            return await handle(request, await request.json() if await request.body() else NO_BODY)

        return handled


async def get_log(request: Request) -> list[str]:
    log: list[str] = request.app.state.log
    log.append("log")
    return log


LogDep = Annotated[list[str], Depends(get_log)]


async def get_opened(log: LogDep, response: Response, depth: int = 1) -> AsyncIterator[str]:
    log.append("opened")
    response.headers["X-Depth"] = str(depth)
    try:
        yield "deep" * depth
    except LookupError:
        log.append("failed")
        raise
    finally:
        log.append("closed")


async def get_name(x_name: Annotated[str | None, Header(min_length=2)] = None) -> str:
    return x_name or "nobody"


OpenedDep = Annotated[str, Depends(get_opened, scope="function")]
NameDep = Annotated[str, Depends(get_name)]


async def tell(number: int, body: Asked, log: LogDep, opened: OpenedDep, name: NameDep) -> Told:
    log.append("told")
    if name == "missing":
        raise LookupError
    return Told(said=f"{number} {opened} {name} {body.words * body.times}")


async def respond(request: Request) -> Response:
    return Response(f"to {request.method}", 202, {"X-Own": "1"})


def application(route_class: type[APIRoute]) -> FastAPI:
    app, router = FastAPI(), APIRouter(route_class=route_class)
    app.state.log = []
    router.add_api_route("/tell/{number}", tell, methods=["POST"], response_model_exclude_unset=True)
    router.add_api_route("/respond", respond)
    app.include_router(router)
    lead_directly(app)
    return app


async def answers(method: str, path: str, **options: Any) -> list[tuple[object, ...]]:
    """What each of both applications responds, and in which order it has called what."""
    found: list[tuple[object, ...]] = []
    async with AsyncExitStack() as stack:
        for app in (application(APIRoute), application(Thin)):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://api"))
            response = await client.request(method, path, **options)
            found.append((response.status_code, response.headers, response.content, app.state.log))
    return found


@pytest.mark.parametrize(
    ("status", "request_of"),
    [
        pytest.param(200, {"json": {"words": ["a"]}}, id="defaults"),
        pytest.param(200, {"json": {"words": ["a"], "times": 2}, "headers": {"X-Name": "me"}}, id="everything"),
        pytest.param(200, {"json": {"words": ["a"]}, "params": {"depth": "3"}}, id="a query of a dependency"),
        pytest.param(422, {"json": {"words": []}}, id="a wrong body"),
        pytest.param(422, {}, id="no body"),
        pytest.param(422, {"json": [1]}, id="a body of another type"),
        pytest.param(422, {"json": {"words": []}, "headers": {"X-Name": "x"}}, id="a wrong header and a wrong body"),
        pytest.param(422, {"json": {"words": ["a"]}, "params": {"depth": "x"}}, id="a wrong query of a dependency"),
        pytest.param(500, {"json": {"words": ["a"]}, "headers": {"X-Name": "missing"}}, id="an error of the route"),
    ],
)
async def test_a_thin_route_responds_as_any_other(status: int, request_of: dict[str, Any]) -> None:
    framework, thin = await answers("POST", "/tell/7", **request_of)

    assert thin == framework
    assert thin[0] == status


async def test_a_wrong_path_is_refused_as_by_any_other_route() -> None:
    framework, thin = await answers("POST", "/tell/seven", json={"words": ["a"]})

    assert thin == framework
    assert thin[0] == 422


async def test_a_response_of_the_route_is_sent_as_it_is() -> None:
    framework, thin = await answers("GET", "/respond")

    assert thin == framework
    assert thin[:1] == (202,)


def test_what_cannot_be_provided_is_refused_when_the_route_is_made() -> None:
    def get_in_a_thread() -> int:
        return 1

    async def ask(number: Annotated[int, Depends(get_in_a_thread)]) -> None:
        """Depends on what would need a thread."""

    with pytest.raises(TypeError, match="cannot provide"):
        APIRouter(route_class=Thin).add_api_route("/ask", ask)
