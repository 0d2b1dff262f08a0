"""Sends to receivers that organizations have named: only to addresses that are allowed, and never for long."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from app.core.errors import InvalidRequestError
from app.core.outgoing import Outgoing
from app.webhook_endpoints.receivers import Receivers

# For a whole try, from the name to the end of the response.
SECONDS: Final = 15.0
# Whether it was taken is known from the status. The body is only shown, and not waited for so long.
_BODY_SECONDS: Final = 3.0
MOST_OF_A_RESPONSE: Final = 4096
_USER_AGENT: Final = "Junis-Webhooks/1"

_CLOSED: Final = "The connection was closed before there was a response"
# The first that fits.
_REASONS: Final = (
    ((aiohttp.ClientConnectorDNSError,), "The host's name could not be resolved"),
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError),
        "There was no encrypted connection: the receiver's certificate is not valid, or it speaks no TLS",
    ),
    ((aiohttp.ClientConnectorError,), "No connection could be made"),
    ((aiohttp.InvalidURL, ValueError), "The URL is not valid"),
    ((aiohttp.ClientResponseError, aiohttp.ClientPayloadError), "The response could not be read"),
)


class NotSentError(Exception):
    """No response has come. The message says why, in words that may be shown to the organization."""


class AddressRefusedError(OSError):
    """A connection would lead to an address that is not allowed."""


@dataclass(frozen=True)
class PostResponse:
    """What came back: the status, the `Retry-After` header if there is one, and the beginning of the body."""

    status: int
    retry_after: str | None
    body: str


class Poster:
    """Posts JSON. Where it may go is decided for every connection, when its address is known.

    No proxy is asked: it would look up names itself, behind the back of the guard. Nothing is redirected, no cookie is
    kept, and no connection is used twice.
    """

    def __init__(self, receivers: Receivers, outgoing: Outgoing) -> None:
        self._receivers = receivers
        self._guarded = _open_session(outgoing, self._open_socket)
        # For hosts that the operator has allowed by name, wherever that leads.
        self._open = _open_session(outgoing, None)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._guarded.close()
        await self._open.close()

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> PostResponse:
        """Post a body of JSON once.

        Raises:
            NotSentError: there was no response in time, or the receiver may not be sent to.
        """
        try:
            return await self._post(self._receivers.check_url(url), body.encode(), headers)
        except InvalidRequestError as error:
            raise NotSentError(error.text) from error
        except TimeoutError:
            raise NotSentError(f"There was no response within {SECONDS:.0f} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotSentError(_reason_of(error)) from error

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> PostResponse:
        target = URL(url)
        session = self._open if self._receivers.allows_host(target.host or "") else self._guarded
        sent = {"Content-Type": "application/json", **headers}
        deadline = asyncio.get_running_loop().time() + SECONDS
        async with asyncio.timeout_at(deadline):
            response = await session.post(target, data=body, headers=sent, allow_redirects=False)
        try:
            beginning = await _beginning(response, deadline)
        finally:
            # What follows is not read: the connection is closed with it.
            response.close()
        return PostResponse(response.status, response.headers.get("Retry-After"), beginning)

    def _open_socket(self, found: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = found
        if not self._receivers.allows_address(str(address[0])):
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)


def _open_session(outgoing: Outgoing, socket_factory: aiohttp.SocketFactoryType | None) -> aiohttp.ClientSession:
    # How many there are at once is for the caller to decide.
    connector = aiohttp.TCPConnector(
        ssl=outgoing.tls, limit=0, force_close=True, use_dns_cache=False, socket_factory=socket_factory
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
    )


async def _beginning(response: aiohttp.ClientResponse, deadline: float) -> str:
    """The beginning of the body, as far as it comes soon: it may be shorter than it says, or endless."""
    body = bytearray()
    soon = asyncio.get_running_loop().time() + _BODY_SECONDS
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(min(soon, deadline)):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) >= MOST_OF_A_RESPONSE:
                    break
    return bytes(body[:MOST_OF_A_RESPONSE]).decode(errors="replace")


def _reason_of(error: Exception) -> str:
    """Why nothing came back. What the error itself says may name addresses of the operator's network."""
    if isinstance(getattr(error, "os_error", None), AddressRefusedError):
        return "The URL leads to an address that is not allowed"
    return next((reason for kinds, reason in _REASONS if isinstance(error, kinds)), _CLOSED)
