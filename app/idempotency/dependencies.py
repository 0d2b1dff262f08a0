import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from app.api_keys.caller import Caller
from app.core.database import Transaction
from app.core.documentation import may_raise
from app.core.errors import InvalidRequestError, PayloadTooLargeError, UnsupportedMediaTypeError
from app.core.multipart_body import without_boundary
from app.dependencies import TransactionDep
from app.idempotency import service
from app.idempotency.claim import Claim
from app.idempotency.errors import IdempotencyKeyInProgressError, IdempotencyKeyReusedError
from app.idempotency.service import REPLAYED_HEADERS, IdempotentRequest

_Body = TypeVar("_Body", bound=BaseModel)


@may_raise(
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    IdempotencyKeyInProgressError,
    IdempotencyKeyReusedError,
)
async def get_idempotent_request(
    request: Request, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None
) -> IdempotentRequest | None:
    """The request as one that is to run once; None if it has no Idempotency-Key.

    A key that is sent twice is one key. A value with a comma is one key, too.

    Raises:
        InvalidRequestError: several keys were sent, and they differ.
    """
    if idempotency_key is None:
        return None
    if len(set(request.headers.getlist("idempotency-key"))) > 1:
        raise InvalidRequestError("Several Idempotency-Key headers were sent, and they differ")
    caller: Caller = request.state.caller
    # The path is hashed as well: with the same key but another id in its path, it is another request.
    # So is one that may cost another amount.
    limits = "".join(f"\0{value}" for value in request.headers.getlist("x-max-credits"))
    body = without_boundary(request.headers.get("content-type", ""), await request.body())
    content = request.url.path.encode() + limits.encode() + b"\0" + body
    route = f"{request.method} {request.scope['route'].path}"
    request_hash = hashlib.sha256(content).digest()
    return IdempotentRequest(caller.organization_id, caller.user_id, route, idempotency_key, request_hash)


IdempotentRequestDep = Annotated[IdempotentRequest | None, Depends(get_idempotent_request)]


class Once:
    """Runs what a route does in its transaction once for each Idempotency-Key."""

    def __init__(self, tx: Transaction, request: IdempotentRequest | None, response: Response) -> None:
        self._tx = tx
        self._request = request
        self._response = response

    async def run(self, model: type[_Body], action: Callable[[], Awaitable[_Body]]) -> _Body:
        """The result of the action, or the stored result if the same request has run before.

        Args:
            model: the type of the result.
            action: does everything in the route's transaction. Without an Idempotency-Key it always runs.

        Raises:
            IdempotencyKeyReusedError: the key was used for another request.
            IdempotencyKeyInProgressError: the same request is running at the moment.
        """
        if self._request:
            claimed = await service.claim(self._tx, self._request)
            if not isinstance(claimed, Claim):
                self._response.headers.update(REPLAYED_HEADERS)
                return model.model_validate(claimed)
        result = await action()
        if self._request:
            await service.store_response(self._tx, self._request, result.model_dump())
        return result


async def get_once(tx: TransactionDep, request: IdempotentRequestDep, response: Response) -> Once:
    """Runs the route's work once for each Idempotency-Key."""
    return Once(tx, request, response)


OnceDep = Annotated[Once, Depends(get_once, scope="function")]
