from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Header, Request

from app.core.documentation import may_raise
from app.core.errors import InvalidRequestError
from app.credits.max_credits import DESCRIPTION, HEADER, PATTERN, read_max_credits


@may_raise(InvalidRequestError)
async def get_max_credits(
    request: Request,
    x_max_credits: Annotated[
        str | None,
        Header(
            description=f"{DESCRIPTION}. If the body has `max_credits`, too, the lesser of the two holds",
            json_schema_extra={"pattern": PATTERN},
        ),
    ] = None,
) -> Decimal | None:
    """The most that the headers allow: the least of them; None without any.

    Raises:
        InvalidRequestError: one of them is no amount.
    """
    if x_max_credits is None:
        return None
    try:
        return min(read_max_credits(value.strip()) for value in request.headers.getlist(HEADER))
    except ValueError as error:
        raise InvalidRequestError(f"{HEADER}: {error}", param=HEADER) from None


MaxCreditsDep = Annotated[Decimal | None, Depends(get_max_credits)]
