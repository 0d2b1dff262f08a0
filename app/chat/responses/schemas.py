from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from app.core.errors import InvalidRequestError


class DeletedResponse(BaseModel):
    """A response that is kept no more."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class InputItemPage(BaseModel):
    """A part of the items of a response's request."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]] = Field(description="Each with an `id` and a `type`")
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(
        cls, items: Sequence[Mapping[str, Any]], *, order: Literal["asc", "desc"], after: str | None, limit: int
    ) -> Self:
        """At most `limit` of the items, in their order or the other way round, from behind the one with an id.

        Raises:
            InvalidRequestError: there is no item with that id.
        """
        ordered = list(items) if order == "asc" else list(reversed(items))
        start = 0
        if after is not None:
            ids = [item["id"] for item in ordered]
            if after not in ids:
                raise InvalidRequestError("after: there is no item of this id", param="after")
            start = ids.index(after) + 1
        page = [dict(item) for item in ordered[start : start + limit]]
        return cls(
            data=page,
            first_id=page[0]["id"] if page else None,
            last_id=page[-1]["id"] if page else None,
            has_more=start + limit < len(ordered),
        )
