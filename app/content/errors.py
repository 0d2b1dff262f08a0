from typing import Any

from app.api_keys.errors import ScopeNotAllowedError
from app.core.errors import InvalidRequestError, NotFoundError, closed_object

_DETAIL = "ContentDetailError"


class ContentNotFoundError(NotFoundError):
    """The content does not exist; in the form of the content API: `{"detail": …}`."""

    def __init__(self, content_id: str) -> None:
        super().__init__(f"Content not found: {content_id}")

    def body(self) -> dict[str, Any]:
        return {"detail": self.text}

    @classmethod
    def schema_name(cls) -> str:
        return _DETAIL

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return closed_object(detail={"type": "string"})


class ContentRequestError(InvalidRequestError):
    """A filter, a page or a retry that is refused, in the form of the content API."""

    def body(self) -> dict[str, Any]:
        return {"detail": self.text}

    @classmethod
    def schema_name(cls) -> str:
        return _DETAIL

    @classmethod
    def schema(cls) -> dict[str, Any]:
        return closed_object(detail={"type": "string"})


class InsufficientScopesError(ScopeNotAllowedError):
    """A missing scope, in the form of the content API."""

    def __init__(self, required: list[str], missing: list[str], available: list[str]) -> None:
        super().__init__("API key does not have required permissions")
        self._scopes = {"required_scopes": required, "missing_scopes": missing, "available_scopes": available}

    def body(self) -> dict[str, Any]:
        return {"error": "insufficient_scopes", "message": self.text, **self._scopes}

    @classmethod
    def schema_name(cls) -> str:
        return "InsufficientScopesError"

    @classmethod
    def schema(cls) -> dict[str, Any]:
        scopes = {"type": "array", "items": {"type": "string"}}
        return closed_object(
            error={"const": "insufficient_scopes"},
            message={"type": "string"},
            required_scopes=scopes,
            missing_scopes=scopes,
            available_scopes=scopes,
        )
