"""HEAD is answered as GET, and slashes too many change nothing; neither needs a redirect."""

import httpx
import pytest

from tests.core.echo import Echo

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
# May differ between two responses.
_OWN = {"date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"}


def headers_of(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in _OWN}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/openapi.json", 200),
        ("/docs", 200),
        ("/metrics", 404),
        ("/nothing", 404),
        ("/files/token/name", 404),
        ("/api/external/v1/models", 200),
        ("/api/external/v1/models/junis-orchestrator", 200),
        ("/api/external/v1/models/none", 404),
        ("/api/external/agents", 200),
        ("/api/external/sessions", 200),
        ("/api/external/sessions/none/messages", 404),
        ("/api/external/content", 200),
        ("/api/external/content?page=0", 400),
        ("/api/external/credits", 200),
        ("/api/external/v1/chat/completions", 405),
        ("/api/external/nothing", 404),
    ],
)
async def test_head_has_status_and_headers_of_get_and_no_body(
    visitor: httpx.AsyncClient, customer: httpx.AsyncClient, path: str, status: int
) -> None:
    own = {"X-API-Key": customer.headers["X-API-Key"]}

    asked, got = await visitor.head(path, headers=own), await visitor.get(path, headers=own)

    assert (asked.status_code, got.status_code) == (status, status)
    assert asked.content == b""
    assert int(asked.headers["content-length"]) > 0
    assert headers_of(asked) == headers_of(got)


async def test_readiness_can_be_asked_by_head(visitor: httpx.AsyncClient) -> None:
    """As load balancers and uptime monitors do. The length may change from one moment to the next."""
    asked = await visitor.head("/readyz")

    assert (asked.status_code, asked.content) == (200, b"")


async def test_head_without_a_key_is_refused_as_get_is(visitor: httpx.AsyncClient) -> None:
    asked = await visitor.head("/api/external/credits")

    assert (asked.status_code, asked.content) == (401, b"")


async def test_a_refused_method_may_also_be_asked_by_head(customer: httpx.AsyncClient) -> None:
    assert (await customer.delete("/content")).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat//completions//",
        "/v1/chat/completions///",
    ],
)
async def test_slashes_too_many_lose_no_body(customer: httpx.AsyncClient, path: str) -> None:
    response = await customer.post(f"{str(customer.base_url).rstrip('/')}{path}", json=HELLO)

    assert response.status_code == 200, response.text
    assert "location" not in response.headers


@pytest.mark.parametrize("path", ["//api/external//v1//models", "/api/external/v1/models/", "/healthz/", "//healthz"])
async def test_slashes_too_many_are_no_other_page(
    visitor: httpx.AsyncClient, customer: httpx.AsyncClient, path: str
) -> None:
    url = f"{visitor.base_url.copy_with(path='')}{path}"

    response = await visitor.get(url, headers={"X-API-Key": customer.headers["X-API-Key"]})

    assert response.status_code == 200


async def test_a_repeat_with_another_spelling_is_the_same_request(customer: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "another-spelling"}

    first = await customer.post("/v1/chat/completions", json=HELLO, headers=headers)
    again = await customer.post("/v1//chat/completions/", json=HELLO, headers=headers)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()


@pytest.mark.parametrize(
    ("name", "written"), [("a//b", "a//b"), ("a//b", "a%2F%2Fb"), ("ends/", "ends%2F"), ("/begins", "%2Fbegins")]
)
async def test_slashes_in_the_name_of_a_session_are_kept(customer: httpx.AsyncClient, name: str, written: str) -> None:
    told = HELLO | {"elevenlabs_extra_body": {"conversation_id": name}}
    (await customer.post("/v1/chat/completions", json=told)).raise_for_status()

    response = await customer.get(f"/sessions/{written}/messages")

    assert response.status_code == 200
    assert response.json()["session_id"] == name


async def test_the_body_of_a_head_is_dropped_whatever_serves_the_application() -> None:
    echo = Echo()

    messages = await echo.ask("HEAD", "/x/")

    assert echo.seen["method"] == "GET"
    assert echo.seen["path"] == "/x"
    assert b"".join(message.get("body", b"") for message in messages) == b""


@pytest.mark.parametrize(
    ("path", "raw", "seen"),
    [
        ("/", b"/", "/"),
        ("///", b"///", "/"),
        ("/a/", b"/a/", "/a"),
        ("/a/", b"/a%2F", "/a/"),
        ("/a//", b"/a%2F/", "/a/"),
        ("/a", None, "/a"),
        ("/a/", None, "/a"),
    ],
)
async def test_only_slashes_that_were_not_encoded_are_removed(path: str, raw: bytes | None, seen: str) -> None:
    echo = Echo()

    await echo.ask("GET", path, raw_path=raw)

    assert echo.seen["path"] == seen
