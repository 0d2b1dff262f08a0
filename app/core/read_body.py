from fastapi import Request
from starlette.requests import ClientDisconnect

from app.core.body_budget import BodyBudget, HeldBody, held_body_var
from app.core.errors import MAX_BODY_MEGABYTES, InvalidRequestError
from app.core.middleware import response_hooks

_LARGEST = MAX_BODY_MEGABYTES * 1024 * 1024


async def hold_body(request: Request, budget: BodyBudget, owner: str) -> HeldBody:
    """Read the body of a request, once the budget has room for it. It is given back at the end of the response.

    Raises:
        InvalidRequestError: the client has hung up before its end.
        ServerBusyError: there are too many large bodies at once.
    """
    held = HeldBody(budget, owner)

    async def let_go() -> None:
        held.let_go()

    response_hooks(request).before_end.append(let_go)
    held_body_var.set(held)
    await held.resize(_announced(request))
    try:
        body = await request.body()
    except ClientDisconnect:
        raise InvalidRequestError("The request body broke off") from None
    await held.resize(len(body))
    return held


def _announced(request: Request) -> int:
    """The bytes of the body that is to come. One that is too large is refused when it is read."""
    length = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or "content-encoding" in request.headers:
        return _LARGEST
    return min(int(length), _LARGEST) if length.isdecimal() and length.isascii() else 0
