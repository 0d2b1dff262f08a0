"""What pages of other sites may read: every file, and of the API what the operator allows."""

import httpx
import pytest

from tests.core.echo import Echo, status_and_headers

# Allowed in the settings of the tests.
OURS = "https://app.example.com"
CHAT = "/api/external/v1/chat/completions"
PREFLIGHT = {
    "Origin": OURS,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang,x-api-key",
}
ALLOWED = "access-control-allow-origin"
SHOWN = (
    "x-request-id, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-ratelimit-limit-minute, "
    "x-ratelimit-remaining-hour, x-session-id, retry-after, idempotent-replayed"
)


async def test_a_preflight_is_answered_before_any_key_is_asked_for(visitor: httpx.AsyncClient) -> None:
    response = await visitor.options(CHAT, headers=PREFLIGHT)

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers[ALLOWED] == OURS
    assert response.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["vary"] == "Origin"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/external/v1/models", None, 200),
        ("HEAD", "/api/external/v1/models", None, 200),
        ("GET", "/api/external//v1/models/", None, 200),
        ("POST", CHAT, {}, 400),
        ("GET", "/api/external/nothing", None, 404),
        ("DELETE", "/api/external/credits", None, 405),
        ("POST", CHAT, "x" * 11_000_000, 413),
    ],
)
async def test_every_response_of_the_api_may_be_read_by_an_allowed_origin(
    visitor: httpx.AsyncClient, customer: httpx.AsyncClient, method: str, path: str, body: object, status: int
) -> None:
    headers = {"X-API-Key": customer.headers["X-API-Key"], "Origin": OURS}

    response = await visitor.request(method, path, json=body, headers=headers)

    assert response.status_code == status
    assert (response.headers[ALLOWED], response.headers["vary"]) == (OURS, "Origin")
    assert set(SHOWN.split(", ")) <= set(response.headers["access-control-expose-headers"].lower().split(", "))
    assert "access-control-allow-credentials" not in response.headers


async def test_a_refusal_of_the_key_may_be_read_too(visitor: httpx.AsyncClient) -> None:
    response = await visitor.get("/api/external/credits", headers={"Origin": OURS})

    assert (response.status_code, response.headers[ALLOWED]) == (401, OURS)


async def test_a_client_with_a_wrong_base_url_may_read_which_is_right(visitor: httpx.AsyncClient) -> None:
    response = await visitor.post("/v1/chat/completions", headers={"Origin": OURS})

    assert (response.status_code, response.headers[ALLOWED]) == (404, OURS)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example.com", "null", f"{OURS}.evil.example"])
async def test_other_origins_may_read_nothing(visitor: httpx.AsyncClient, origin: str) -> None:
    asked = await visitor.options(CHAT, headers=PREFLIGHT | {"Origin": origin})
    got = await visitor.get("/api/external/credits", headers={"Origin": origin})

    for response in (asked, got):
        assert response.status_code == 401
        assert ALLOWED not in response.headers
        # A cache must not give it to an origin that is allowed.
        assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/openapi.json", "/admin"])
async def test_only_the_api_may_be_read(visitor: httpx.AsyncClient, path: str) -> None:
    assert ALLOWED not in (await visitor.get(path, headers={"Origin": OURS})).headers


@pytest.mark.parametrize("path", ["/files/token/name", "//files/token/name/", "/files/a/b/c"])
@pytest.mark.parametrize("origin", ["https://viewer.example", "null"])
async def test_files_may_be_read_by_every_origin(visitor: httpx.AsyncClient, path: str, origin: str) -> None:
    wanted = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}

    url = f"{visitor.base_url.copy_with(path='')}{path}"
    got = await visitor.get(url, headers={"Origin": origin})
    preflight = await visitor.options(url, headers={"Origin": origin} | wanted)
    options = await visitor.options(url)

    assert (got.status_code, preflight.status_code, options.status_code) == (404, 204, 204)
    for response in (got, preflight, options):
        assert response.headers[ALLOWED] == "*"
        assert {"content-length", "content-range", "accept-ranges", "etag"} <= set(
            response.headers["access-control-expose-headers"].lower().split(", ")
        )
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "vary" not in response.headers
    assert preflight.headers["access-control-allow-headers"] == "range"
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_a_page_of_the_public_may_ask_a_server_of_a_private_network(visitor: httpx.AsyncClient) -> None:
    headers = PREFLIGHT | {"Access-Control-Request-Private-Network": "true"}

    for path in (CHAT, "/files/token/name"):
        response = await visitor.options(path, headers=headers)

        assert response.headers["access-control-allow-private-network"] == "true"


async def test_it_is_off_by_default_except_for_files() -> None:
    echo = Echo()

    _, of_api = status_and_headers(await echo.ask("OPTIONS", CHAT, headers=PREFLIGHT))
    _, of_file = status_and_headers(await echo.ask("GET", "/files/token/name", headers={"Origin": OURS}))

    assert echo.seen["method"] == "GET"
    assert not [name for name in of_api if name.startswith("access-control") or name == "vary"]
    assert of_file[ALLOWED] == "*"


async def test_all_origins_may_be_allowed() -> None:
    echo = Echo("*")

    asked, preflight = status_and_headers(await echo.ask("OPTIONS", CHAT, headers=PREFLIGHT | {"Origin": "null"}))
    _, got = status_and_headers(await echo.ask("GET", "/api/external/credits", headers={"Origin": "https://any"}))

    assert asked == 204
    assert (preflight[ALLOWED], got[ALLOWED]) == ("*", "*")
    assert "vary" not in got


async def test_an_error_that_nothing_caught_may_be_read_too(caplog: pytest.LogCaptureFixture) -> None:
    status, headers = status_and_headers(await Echo(OURS, fail=True).ask("GET", CHAT, headers={"Origin": OURS}))

    assert (status, headers[ALLOWED], headers["vary"]) == (500, OURS, "Origin")
    assert "unhandled_error" in caplog.text


async def test_a_part_of_a_file_may_be_read_by_a_page(customer: httpx.AsyncClient) -> None:
    words = {"messages": [{"role": "user", "content": "Please make simulator/image of a pier"}]}
    made = (await customer.post("/v1/chat/completions", json=words)).json()["generated_content"][0]

    response = await customer.get(
        made["storage_url"], headers={"Origin": "https://viewer.example", "Range": "bytes=0-3"}
    )

    assert (response.status_code, response.headers[ALLOWED]) == (206, "*")
    assert response.headers["content-range"].startswith("bytes 0-3/")
