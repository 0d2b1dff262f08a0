"""Bodies that are compressed, and JSON that is called something else."""

import gzip
import json
import zlib
from collections.abc import Callable

import httpx
import pytest

from tests.core.echo import MOST_BYTES, Echo, status_and_headers

CHAT = "/v1/chat/completions"
HELLO = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
MEGABYTE = 1024 * 1024
JSON = {"Content-Type": "application/json"}
DEFLATE = {"Content-Encoding": "deflate"}
GZIP = {"Content-Encoding": "gzip"}


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("gzip, identity", gzip.compress),
    ],
)
async def test_a_compressed_body_is_read(
    customer: httpx.AsyncClient, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    response = await customer.post(CHAT, content=pack(HELLO), headers=JSON | {"Content-Encoding": encoding})

    assert response.status_code == 200, response.text


async def test_a_repeat_may_be_compressed_or_not(customer: httpx.AsyncClient) -> None:
    headers = JSON | {"Idempotency-Key": "compressed-or-not"}

    first = await customer.post(CHAT, content=HELLO, headers=headers)
    again = await customer.post(CHAT, content=gzip.compress(HELLO), headers=headers | GZIP)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.content == first.content


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", HELLO),
        ("gzip", gzip.compress(HELLO)[:-1]),
        ("gzip", gzip.compress(HELLO)[:-9] + b"\0" * 9),
        ("gzip", zlib.compress(HELLO)),
        ("deflate", zlib.compress(HELLO)[:-5]),
        ("deflate", HELLO),
        ("gzip", gzip.compress(b"") * 1001),
    ],
    # Their values have the time of their making in them.
    ids=["no gzip", "cut gzip", "damaged gzip", "zlib as gzip", "cut zlib", "no zlib", "too many parts"],
)
async def test_a_body_that_is_not_what_its_encoding_says_is_refused(
    customer: httpx.AsyncClient, encoding: str, body: bytes
) -> None:
    response = await customer.post(CHAT, content=body, headers=JSON | {"Content-Encoding": encoding})

    assert code_of(response) == (400, "invalid_request")
    assert encoding in response.json()["error"]["message"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x" * 1000])
async def test_an_encoding_that_is_not_read_is_refused_in_words(customer: httpx.AsyncClient, encoding: str) -> None:
    response = await customer.post(CHAT, content=HELLO, headers=JSON | {"Content-Encoding": encoding})

    assert code_of(response) == (415, "unsupported_media_type")
    assert "gzip or deflate" in response.json()["error"]["message"]
    assert response.headers["accept-encoding"] == "gzip, deflate"
    assert response.headers["x-should-retry"] == "false"
    assert len(response.content) < 500


async def test_the_limit_is_for_the_body_as_it_is_read(customer: httpx.AsyncClient) -> None:
    fits = gzip.compress(b'{"messages": []}'.ljust(10 * MEGABYTE))
    bomb = gzip.compress(b" " * (30 * MEGABYTE), compresslevel=1)

    read = await customer.post(CHAT, content=fits, headers=JSON | GZIP)
    refused = await customer.post(CHAT, content=bomb, headers=JSON | GZIP)

    assert (read.status_code, read.json()["error"]["param"]) == (400, "messages")
    assert code_of(refused) == (413, "payload_too_large")


async def test_a_bomb_is_inflated_piece_by_piece_and_only_up_to_the_limit() -> None:
    echo = Echo()

    messages = await echo.ask("POST", "/", headers=GZIP, chunks=[gzip.compress(b" " * (50 * MEGABYTE))])

    assert status_and_headers(messages)[0] == 413
    assert sum(echo.read_at_once) <= MOST_BYTES


async def test_a_body_that_arrives_byte_by_byte_is_read() -> None:
    echo = Echo()

    await echo.ask("POST", "/", headers=DEFLATE, chunks=[bytes([byte]) for byte in zlib.compress(HELLO)])

    assert echo.body == HELLO


async def test_the_key_is_asked_for_before_the_body_is_looked_at(visitor: httpx.AsyncClient) -> None:
    response = await visitor.post(f"/api/external{CHAT}", content=b"no gzip", headers=JSON | GZIP)

    assert response.status_code == 401


@pytest.mark.parametrize(
    "named",
    [
        None,
        "",
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "text/json",
        "application/vnd.api+json",
        "APPLICATION/JSON; charset=utf-8",
        ";",
    ],
)
async def test_json_is_read_whatever_it_is_called(customer: httpx.AsyncClient, named: str | None) -> None:
    headers = {} if named is None else {"Content-Type": named}

    response = await customer.post(CHAT, content=HELLO, headers=headers)

    assert response.status_code == 200, response.text


async def test_what_is_not_json_is_refused_as_such(customer: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = await customer.post(CHAT, content=b"messages=hello", headers=headers)

    assert code_of(response) == (400, "invalid_request")
    assert response.json()["error"]["message"].startswith("The request body is not valid JSON")


@pytest.mark.parametrize(
    "named", ["multipart/form-data; boundary=x", "application/xml", "text/html", "image/png", "x/y"]
)
async def test_a_type_that_cannot_be_json_is_refused_in_words(customer: httpx.AsyncClient, named: str) -> None:
    response = await customer.post(CHAT, content=HELLO, headers={"Content-Type": named})

    assert code_of(response) == (415, "unsupported_media_type")
    assert named.partition(";")[0] in response.json()["error"]["message"]
    assert "application/json" in response.json()["error"]["message"]


async def test_a_route_without_a_body_minds_no_type(customer: httpx.AsyncClient) -> None:
    path = "/v1/responses/resp_unknown/cancel"

    response = await customer.post(path, content=b"<a/>", headers={"Content-Type": "application/xml"})

    assert response.status_code == 404


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/json"])
async def test_a_body_that_may_be_left_out_may_be_empty_whatever_its_type(
    customer: httpx.AsyncClient, kind: str
) -> None:
    path = "/content/550e8400-e29b-41d4-a716-446655440000/retry"

    response = await customer.post(path, content=b"", headers={"Content-Type": kind})

    assert response.status_code == 404


async def test_a_body_that_is_refused_has_the_form_of_the_route(customer: httpx.AsyncClient) -> None:
    path = "/content/550e8400-e29b-41d4-a716-446655440000/retry"

    response = await customer.post(path, content=b"no gzip", headers=GZIP | {"Idempotency-Key": "no-gzip"})

    assert (response.status_code, response.json()) == (400, {"detail": "The request body is not valid gzip"})
