"""Where webhooks may go, decided where a connection is made, and what receivers may do without being believed."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from app.core.outgoing import DIRECT
from app.webhook_endpoints.receivers import Receivers, is_public
from tests.webhook_endpoints.receiver import OK, Received, Receiver, receiving, status
from worker.transfer.posting import MOST_OF_A_RESPONSE, NotSentError, Poster, PostResponse

# The library itself does not take some ways to write an address.
_REFUSED = "not allowed|not valid"
_HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def _post(receiver: Receiver, *allowed: str, host: str = "127.0.0.1") -> PostResponse:
    poster = Poster(Receivers.of(allowed), DIRECT)
    try:
        return await poster.post(receiver.url.replace("127.0.0.1", host), "{}", {})
    finally:
        await poster.aclose()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),  # noqa: S104
        *("100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "192.88.99.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1", "fe80::1%2"),
        *("fc00::1", "fd12::1", "fec0::1", "ff02::1", "ff0e::1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::1", "2001:0:4136:e378::1", "2001:db8::1", "100::1"),
    ],
)
def test_an_address_that_is_not_of_the_internet_is_none(address: str) -> None:
    assert not is_public(address)
    assert not Receivers.of(["example.com", "203.0.113.0/24"]).allows_address(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_an_address_of_the_internet_is_one(address: str) -> None:
    assert is_public(address)


# Hosts that lead to this machine, as one can write them. Each is given a port and a path that exist.
_HERE = ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "0", "[::1]"]


@pytest.mark.parametrize("host", _HERE)
async def test_no_way_to_write_this_machine_reaches_it(receiver: Receiver, host: str) -> None:
    """HTTP is allowed here, as for a host of the operator's, so that the guard at the connection alone decides."""
    poster = Poster(_AllowsHttp(), DIRECT)

    with pytest.raises(NotSentError, match=_REFUSED):
        await poster.post(receiver.url.replace("127.0.0.1", host), "{}", {})

    await poster.aclose()
    assert receiver.got == []


async def test_what_the_operator_allows_is_reached_by_name_and_by_network(receiver: Receiver) -> None:
    assert (await _post(receiver, "127.0.0.0/8")).status == 200
    assert (await _post(receiver, "localhost", host="localhost")).status == 200
    # A name that is not allowed itself must be encrypted, wherever it leads.
    with pytest.raises(NotSentError, match="https"):
        await _post(receiver, "127.0.0.0/8", host="localhost")


async def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        await _post(receiver, "127.0.0.1")

    assert (len(receiver.got), len(proxy.got)) == (1, 0)


async def test_a_redirect_is_shown_and_not_followed(receiver: Receiver) -> None:
    receiver.answer = status(307, f"Location: {receiver.url}")

    assert (await _post(receiver, "127.0.0.1")).status == 307
    assert len(receiver.got) == 1


async def test_of_a_body_without_end_only_the_beginning_is_read(receiver: Receiver) -> None:
    async def without_end(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + b"\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    receiver.answer = without_end

    response = await _post(receiver, "127.0.0.1")

    assert (response.status, response.body) == (200, "x" * MOST_OF_A_RESPONSE)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (_HEAD + b"Content-Length: 100\r\n\r\nshort", "short"),
        (
            _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\xff",
            "\x1f\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}",
        ),
    ],
)
async def test_a_receiver_that_lies_about_its_body_has_taken_the_event(
    receiver: Receiver, answer: bytes, body: str
) -> None:
    receiver.answer = answer

    response = await _post(receiver, "127.0.0.1")

    assert (response.status, response.body) == (200, body)


async def test_a_body_that_never_comes_is_not_waited_for_as_long_as_a_response(receiver: Receiver) -> None:
    async def silent(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + b"Content-Length: 5\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    receiver.answer = silent
    began = monotonic()

    assert (await _post(receiver, "127.0.0.1")).status == 200
    assert monotonic() - began < 14


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "The connection was closed before there was a response"),
        (b"nonsense\r\n\r\n", "The response could not be read"),
        (_HEAD + b"X: " + b"x" * 100_000, "The response could not be read"),
        (_HEAD + b"Content-Length: 2\r\n\r\nlonger", "The response could not be read"),
    ],
)
async def test_what_is_no_response_is_told_in_words_without_addresses(
    receiver: Receiver, answer: bytes, said: str
) -> None:
    receiver.answer = answer

    with pytest.raises(NotSentError) as told:
        await _post(receiver, "127.0.0.1")

    assert str(told.value) == said


async def test_a_receiver_that_is_down_and_a_name_that_is_none_are_told(receiver: Receiver) -> None:
    receiver.answer = OK
    poster = Poster(Receivers.of(["127.0.0.1", "nobody.invalid"]), DIRECT)
    with pytest.raises(NotSentError, match="No connection"):
        await poster.post("http://127.0.0.1:1/hook", "{}", {})
    with pytest.raises(NotSentError, match="name could not be resolved"):
        await poster.post("http://nobody.invalid/hook", "{}", {})
    await poster.aclose()


class _AllowsHttp(Receivers):
    """Receivers whose URLs are not looked at, so that only the guard at the connection is left."""

    def check_url(self, url: str) -> str:
        return url
