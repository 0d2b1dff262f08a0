import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from replicate.client import Client

from app.core.addresses import http_address_of
from app.core.metrics import vendor_call
from app.core.outgoing import DIRECT, Outgoing
from app.core.proxies import Proxy
from app.core.span_names import SpanName
from app.core.tracing import say_asked, say_status, span_var, spanning, traced_headers
from app.predictions.parsing import UnreadableResponseError, parse_page, parse_prediction, parse_response
from app.predictions.protocol import (
    Prediction,
    PredictionError,
    PredictionMissingError,
    PredictionRejectedError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from app.predictions.refusals import refusal, result_of

# Limits one call, from the wait for a connection to the last byte of the response.
DEADLINE_SECONDS = 20.0
# How long a version of a model is used before the vendor is asked for a newer one.
VERSION_SECONDS = 3600.0

_TIMEOUT = httpx.Timeout(connect=5, read=15, write=15, pool=5)
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50)
# A ProxyError: the proxy has not opened a connection to the vendor.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_NO_RESPONSE = (httpx.RequestError, TimeoutError, UnreadableResponseError)
_VERSION = re.compile(r"[0-9a-f]{64}")
# A shorter token, such as a test server takes, is no secret and may be an ordinary word.
_SHORTEST_TOKEN = 8
_MOST_BYTES = 32 * 1024 * 1024


class ReplicateClient:
    """Runs models at Replicate through the `replicate` package, whose types do not leave this file.

    It uses the package's requests, and not its predictions. Those fail on the status `aborted` and on every new one,
    drop `webhook` and `data_removed`, and cannot send `Cancel-After`.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        outgoing: Outgoing = DIRECT,
        deadline: float = DEADLINE_SECONDS,
        version_seconds: float = VERSION_SECONDS,
    ) -> None:
        self._token = token
        self._base_url = base_url
        self._address = http_address_of(base_url)
        self._deadline = deadline
        self._version_seconds = version_seconds
        # By model: the version that is run for it, and until when by the monotonic clock.
        self._newest_versions: dict[str, tuple[str, float]] = {}
        self._checked_versions: set[str] = set()
        # Every request goes to the host of the base URL.
        proxy = _proxy(outgoing.proxy_for(base_url), outgoing)
        self._transport = _RefusingTransport(limits=_LIMITS, verify=outgoing.tls, proxy=proxy)
        self._client = Client(token, base_url=base_url, timeout=_TIMEOUT, transport=self._transport)

    async def create(
        self, *, model: str, input: Mapping[str, Any], webhook: str | None, cancel_after: int
    ) -> Prediction:
        """See `PredictionClient.create`.

        Replicate does not document whether it refuses a version under another model's name, so each version is looked
        up once among those of its model.

        Replicate runs only official models by their names. If it refuses a name for that reason, nothing runs, and the
        newest version of the model is run instead.
        """
        await self._check_version(model)
        try:
            return await self._create(self._known_version(model), input, webhook, cancel_after)
        except (PredictionRejectedError, PredictionMissingError) as error:
            if ":" in model or "/" not in model or "version" not in error.text.lower():
                raise
            # It is also looked up again if the version that was known does not exist any more.
            newest = f"{model}:{await self._newest_version(model, error)}"
        self._newest_versions[model] = (newest, time.monotonic() + self._version_seconds)
        return await self._create(newest, input, webhook, cancel_after)

    async def _check_version(self, model: str) -> None:
        """Refuse a version that is not one of the model. A bare version or a bare name says nothing wrong.

        Raises:
            PredictionRejectedError: the model has no such version.
            PredictionMissingError: the vendor finds no such version of the model.
        """
        name, colon, version = model.partition(":")
        if not colon or model in self._checked_versions:
            return
        refusal = f"The model {name} has no version {version}"
        if not _VERSION.fullmatch(version):
            raise PredictionRejectedError(refusal)
        try:
            with self._failures("model"):
                found = await self._request("GET", f"/v1/models/{quote(name)}/versions/{version}")
        except PredictionMissingError:
            raise PredictionMissingError(refusal) from None
        if not isinstance(found, dict) or found.get("id") != version:
            raise PredictionRejectedError(refusal)
        self._checked_versions.add(model)

    def _known_version(self, model: str) -> str:
        """The newest version, if it was looked up recently; otherwise the model itself."""
        version, until = self._newest_versions.get(model, (model, 0.0))
        return version if time.monotonic() < until else model

    async def _newest_version(self, model: str, refused: PredictionError) -> str:
        try:
            with self._failures("model"):
                found = await self._request("GET", f"/v1/models/{quote(model)}")
        except PredictionMissingError:
            # The first of the two refusals says what is wrong with the request.
            raise refused from None
        newest = found.get("latest_version") if isinstance(found, dict) else None
        if not isinstance(newest, dict) or not isinstance(newest.get("id"), str):
            raise PredictionRejectedError(f"The model {model} has no version that can be run")
        return str(newest["id"])

    async def _create(self, model: str, input: Mapping[str, Any], webhook: str | None, cancel_after: int) -> Prediction:
        body: dict[str, Any] = {"version": model, "input": input}
        if webhook is not None:
            # The other events only say that it is still running.
            body |= {"webhook": webhook, "webhook_events_filter": ["completed"]}
        headers = {"Cancel-After": f"{cancel_after}s", "Content-Type": "application/json"}
        content = _encoded(body)
        with self._failures("create"):
            return parse_prediction(await self._request("POST", "/v1/predictions", content=content, headers=headers))

    async def get(self, prediction_id: str) -> Prediction:
        """See `PredictionClient.get`."""
        with self._failures("get"):
            return parse_prediction(await self._request("GET", _path(prediction_id)))

    async def cancel(self, prediction_id: str) -> Prediction:
        """See `PredictionClient.cancel`."""
        with self._failures("cancel"):
            return parse_prediction(await self._request("POST", f"{_path(prediction_id)}/cancel"))

    async def recent(self, created_after: datetime) -> AsyncGenerator[Prediction]:
        """See `PredictionClient.recent`."""
        query: str | None = urlencode({"created_after": created_after.astimezone(UTC).isoformat()})
        while query is not None:
            with self._failures("list"):
                page = parse_page(await self._request("GET", f"/v1/predictions?{query}"))
            for prediction in page.predictions:
                if prediction.created_at < created_after:
                    return
                yield prediction
            query = page.next_query

    async def account(self) -> str:
        """See `PredictionClient.account`."""
        with self._failures("account"):
            found = await self._request("GET", "/v1/account")
        return str(found.get("username") or "") if isinstance(found, dict) else ""

    async def webhook_secret(self) -> str:
        """See `PredictionClient.webhook_secret`."""
        with self._failures("account"):
            found = await self._request("GET", "/v1/webhooks/default/secret")
        return str(found.get("key") or "") if isinstance(found, dict) else ""

    async def close(self) -> None:
        """See `PredictionClient.close`."""
        await self._transport.aclose()

    async def _request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        headers = {**(headers or {}), **traced_headers()}
        say_asked(span_var.get(), method, self._base_url)
        async with asyncio.timeout(self._deadline):
            response = await self._client._async_request(method, path, headers=headers, **options)  # noqa: SLF001 - see the class
        say_status(span_var.get(), response.status_code)
        return parse_response(response.content)

    @contextmanager
    def _failures(self, operation: str) -> Iterator[None]:
        """Count and trace a request, and raise the protocol's error if it fails."""
        with (
            spanning(SpanName.REPLICATE, operation=operation),
            vendor_call("replicate", operation, result_of),
            self._errors(is_create=operation == "create"),
        ):
            yield

    @contextmanager
    def _errors(self, *, is_create: bool) -> Iterator[None]:
        """Raise the protocol's error for a failed request. After a create without a response, a run may exist."""
        no_response = PredictionUncertainError if is_create else PredictionUnavailableError
        try:
            yield
        except _RefusedError as refused:
            say_status(span_var.get(), refused.status)
            raise refusal(
                refused.status, refused.retry_after, self._redacted(refused.body), is_create=is_create
            ) from None
        except _NEVER_SENT as error:
            raise PredictionUnavailableError(
                f"The model provider at {self._address} could not be reached: {_reason(error)}"
            ) from error
        except _NO_RESPONSE as error:
            raise no_response(
                f"The model provider at {self._address} gave no usable response: {_reason(error)}"
            ) from error

    def _redacted(self, body: bytes) -> bytes:
        return body.replace(self._token.encode(), b"[redacted]") if len(self._token) >= _SHORTEST_TOKEN else body


class _RefusingTransport(httpx.AsyncHTTPTransport):
    """Raises an error for every status other than 2xx, before the package's own retries see it.

    After a 429, 503 or 504 of a GET, the package would retry ten times and sleep for up to a minute each time. Its own
    error keeps neither the header nor the body, which say how long to wait.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # What a compressed response unpacks to cannot be bounded here.
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx.DecodingError("the response is compressed, which was not asked for", request=request)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _LimitedStream(response.stream)
        if response.is_success:
            return response
        try:
            body = await response.aread()
        except httpx.RequestError:
            body = b""  # the status is enough
        finally:
            await response.aclose()
        raise _RefusedError(response.status_code, response.headers.get("Retry-After"), body)


class _LimitedStream(httpx.AsyncByteStream):
    """A response that breaks off if it is larger than any page of predictions should be."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for piece in self._stream:
            received += len(piece)
            if received > _MOST_BYTES:
                raise httpx.ReadError(f"the response is larger than {_MOST_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _RefusedError(Exception):
    """The vendor responded with a status other than 2xx."""

    def __init__(self, status: int, retry_after: str | None, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after
        self.body = body


def _proxy(proxy: Proxy | None, outgoing: Outgoing) -> httpx.Proxy | None:
    if proxy is None:
        return None
    tls = outgoing.tls if proxy.url.startswith("https:") else None
    return httpx.Proxy(proxy.url, headers=proxy.headers, ssl_context=tls)


def _reason(error: Exception) -> str:
    # Some errors, such as TimeoutError, have no text.
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PredictionRejectedError("The input is not valid JSON") from error


def _path(prediction_id: str) -> str:
    return f"/v1/predictions/{quote(prediction_id, safe='')}"
