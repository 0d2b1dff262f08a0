"""Bytes that are no request, or almost one, sent to the server as it is served."""

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest

from tests.conftest import Stack
from tests.factories import Organization

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"messages":[{"role":"user","content":"hi"}]}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA\r\n"
# By the status of the only response. POST is replaced by the head of a chat request.
SHAPES: dict[int, list[bytes]] = {
    200: [
        GET + b"\r\n",
        b"GET http://evil.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + UPGRADE + b"\r\n",
        GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"POST" + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        b"POST" + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        b"POST" + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        b"POST" + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED.removesuffix(b"\r\n") + b"X-API-Key: zzz\r\n\r\n",
    ],
    400: [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/3.7\r\nHost: x\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"X A: b\r\n\r\n",
        GET + b"X-A: a\0b\r\n\r\n",
        GET + b"X-A: a\rb: c\r\n\r\n",
        GET + b"X-A: a\r\n  folded\r\n\r\n",
        b"POST" + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        b"POST" + b"Content-Length: 5\r\nContent-Length: 45\r\n\r\n" + BODY,
        b"POST" + b"Content-Length: -1\r\n\r\n" + BODY,
        b"POST" + b"Content-Length: 0x2d\r\n\r\n" + BODY,
        b"POST" + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + BODY,
        b"POST" + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
        b"POST" + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED,
        b"POST" + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + BODY,
        b"POST" + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n" + BODY,
    ],
    413: [b"POST" + b"Content-Length: 18446744073709551615\r\n\r\n" + BODY],
    431: [
        GET + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
        GET + b"X-A: " + b"a" * 3_000_000,
        GET + b"".join(b"X-%d: v\r\n" % number for number in range(10_000)),
        b"GET /healthz?" + b"a" * 3_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST" + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED.removesuffix(b"\r\n") + b"X: y\r\n" * 5000 + b"\r\n",
    ],
}


@pytest.mark.parametrize(("status", "sent"), [(status, sent) for status, shapes in SHAPES.items() for sent in shapes])
async def test_what_is_almost_a_request_gets_one_response_in_the_form_of_the_api(
    stack: Stack, organization: Organization, status: int, sent: bytes
) -> None:
    head = b"POST /api/external/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    key = b"X-API-Key: " + organization.headers["X-API-Key"].encode() + b"\r\n"
    sent = head + key + sent.removeprefix(b"POST") if sent.startswith(b"POST") else sent

    received = await answer_to(stack, sent)

    statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", received)]
    assert statuses == [status], received[:300]
    fields = received.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nx-request-id: " in fields
    assert status == 200 or json.loads(received.rpartition(b"\r\n\r\n")[2])["error"]["code"]


async def answer_to(stack: Stack, sent: bytes) -> bytes:
    """The first response, and whatever else is sent if the server closes the connection after it."""
    address = urlsplit(stack.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length
    received = head + await reader.readexactly(int(length[1]))
    if b"connection: close" in head:
        received += await reader.read()
    writer.close()
    return received
