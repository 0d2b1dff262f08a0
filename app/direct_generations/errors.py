from collections.abc import Sequence
from typing import Any

from app.core.errors import AppError, closed_object


class NothingMadeError(AppError):
    """None of the contents could be made. The text says why. It costs nothing."""

    status = 502
    type = "provider_error"
    code = "generation_failed"
    message = "The content could not be made"


class NotMadeYetError(AppError):
    """The contents are still being made, and can be read as contents when they are finished.

    A repetition would make others, unless the request has an `Idempotency-Key`.
    """

    status = 504
    type = "provider_error"
    code = "generation_unfinished"
    message = "What was asked for is still being made. Read it as content, by its id"

    def __init__(self, content_ids: Sequence[str] = ()) -> None:
        super().__init__()
        self._content_ids = content_ids

    def body(self) -> dict[str, Any]:
        return {"error": {**super().body()["error"], "content_ids": list(self._content_ids)}}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return closed_object(
            error=closed_object(
                message={"type": "string"},
                type={"const": cls.type},
                code={"const": cls.code},
                content_ids={"type": "array", "items": {"type": "string"}},
            )
        )
