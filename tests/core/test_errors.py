"""Every refusal has the API's error format, whether it comes from a feature, the framework or the server."""

from collections.abc import AsyncIterator

import httpx
import pytest

MEGABYTE = 1024 * 1024
NOT_FOUND = {"error": {"message": "Not found", "type": "not_found_error", "code": "not_found"}}
METHOD_NOT_ALLOWED = {
    "error": {"message": "Method not allowed", "type": "invalid_request_error", "code": "method_not_allowed"}
}
TOO_LARGE = {
    "error": {
        "message": "The request body is larger than 10 MB",
        "type": "invalid_request_error",
        "code": "payload_too_large",
    }
}


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/api/externals", "/files", "/%00", "/a//b", "/é"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_not_found(visitor: httpx.AsyncClient, method: str, path: str) -> None:
    response = await visitor.request(method, path)

    assert (response.status_code, response.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize("path", ["", "/", "/v2/chat", "/content/a/b", "/%00"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_paths_count_against_the_limits_too(
    visitor: httpx.AsyncClient, customer: httpx.AsyncClient, method: str, path: str
) -> None:
    stranger = await visitor.request(method, f"/api/external{path}")
    responses = [await customer.request(method, path) for _ in range(2)]

    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "missing_api_key")
    assert [(response.status_code, response.json()) for response in responses] == [(404, NOT_FOUND)] * 2
    remaining = [int(response.headers["x-ratelimit-remaining"]) for response in responses]
    assert remaining[1] == remaining[0] - 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/content", "GET"),
        ("POST", "/content", "GET"),
        ("PUT", "/content/550e8400-e29b-41d4-a716-446655440000", "GET"),
        ("GET", "/content/550e8400-e29b-41d4-a716-446655440000/retry", "POST"),
        ("GET", "/v1/chat/completions", "POST"),
        ("PATCH", "/credits", "GET"),
        ("PUT", "/webhooks/endpoints", "GET, HEAD, POST"),
        ("PUT", "/webhooks/endpoints/whe-1", "DELETE, GET, HEAD, PATCH"),
    ],
)
async def test_a_refused_method_lists_the_allowed_ones(
    customer: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await customer.request(method, path)

    assert (response.status_code, response.json()) == (405, METHOD_NOT_ALLOWED)
    assert allowed in response.headers["allow"]
    assert "x-ratelimit-remaining" in response.headers


async def test_a_body_of_more_than_ten_megabytes_is_refused(customer: httpx.AsyncClient) -> None:
    response = await customer.post("/v1/chat/completions", content=b" " * (10 * MEGABYTE + 1))

    assert (response.status_code, response.json()) == (413, TOO_LARGE)
    assert response.headers["x-should-retry"] == "false"


async def test_a_body_of_more_than_ten_megabytes_without_a_length_header_is_refused(
    customer: httpx.AsyncClient,
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * MEGABYTE

    response = await customer.post("/v1/chat/completions", content=chunks())

    assert (response.status_code, response.json()) == (413, TOO_LARGE)


async def test_the_key_is_checked_before_the_size_of_the_body(visitor: httpx.AsyncClient) -> None:
    response = await visitor.post("/api/external/v1/chat/completions", content=b" " * (10 * MEGABYTE + 1))

    assert response.status_code == 401


async def test_a_body_of_ten_megabytes_is_accepted(customer: httpx.AsyncClient) -> None:
    body = b'{"messages": []}'.ljust(10 * MEGABYTE)

    response = await customer.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages"


@pytest.mark.parametrize(
    "body", [b"{", b"{not json}", b"", b'{"messages": [}', b"\x00", b"'", b'{"messages": "\xff"}', b"[" * 100_000]
)
async def test_a_body_that_is_not_json_is_refused(customer: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    response = await customer.post("/v1/chat/completions", content=body, headers=headers)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert "param" not in error


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "wizard", "content": "hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "hello"}, {"role": "user", "content": 5}]}, "messages.1.content"),
        ({"messages": [{"role": "user", "content": "hello"}], "temperature": 3}, "temperature"),
        ({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "hello"}], "stream": "perhaps"}, "stream"),
        ({"messages": [{"role": "user", "content": "hello"}], "session_id": ""}, "session_id"),
    ],
)
async def test_the_location_of_a_bad_value_is_named(
    customer: httpx.AsyncClient, body: dict[str, object], param: str
) -> None:
    response = await customer.post("/v1/chat/completions", json=body)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"].startswith(param)
    assert list(error) == ["message", "type", "code", "param"]


async def test_a_body_that_is_not_an_object_is_refused(customer: httpx.AsyncClient) -> None:
    for body in ("[]", '"hello"', "5", "null", "NaN"):
        headers = {"Content-Type": "application/json"}
        response = await customer.post("/v1/chat/completions", content=body, headers=headers)

        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_request"


async def test_a_bad_query_parameter_is_named(customer: httpx.AsyncClient) -> None:
    response = await customer.get("/sessions", params={"page": "0"})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == "page"


async def test_errors_of_the_client_send_no_retry_header(customer: httpx.AsyncClient) -> None:
    """OpenAI's SDKs do not retry these statuses anyway, so no header is needed."""
    for method, path in (("GET", "/nothing"), ("POST", "/v1/chat/completions"), ("DELETE", "/credits")):
        assert "x-should-retry" not in (await customer.request(method, path)).headers
