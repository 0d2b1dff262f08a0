import hashlib
from typing import Annotated

from fastapi import Depends, Header, Request

from app.api_keys.caller import Caller
from app.idempotency.service import IdempotentRequest


async def get_idempotent_request(
    request: Request, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None
) -> IdempotentRequest | None:
    """What is to run once, where the client names a key for it."""
    if idempotency_key is None:
        return None
    caller: Caller = request.state.caller
    # The path is hashed with the body: the same key for another content is another request.
    content = request.url.path.encode() + b"\0" + await request.body()
    route = f"{request.method} {request.scope['route'].path}"
    return IdempotentRequest(caller.organization_id, route, idempotency_key, hashlib.sha256(content).digest())


IdempotentRequestDep = Annotated[IdempotentRequest | None, Depends(get_idempotent_request)]
