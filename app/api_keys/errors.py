from collections.abc import Mapping

from app.core.errors import AppError


class MissingApiKeyError(AppError):
    status = 401
    type = "authentication_error"
    code = "missing_api_key"
    message = "Missing API key. Send it as 'X-API-Key' or as 'Authorization: Bearer'."

    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": "ApiKey"}


class InvalidApiKeyError(AppError):
    """Every unusable key gets the same text, so that guessing teaches nothing."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"
    message = "Invalid API key"


class SeveralApiKeysError(InvalidApiKeyError):
    """Two keys were sent. That says nothing about either of them."""

    message = "Two different API keys were sent. Send one, as 'X-API-Key' or as 'Authorization: Bearer'."


class ScopeNotAllowedError(AppError):
    status = 403
    type = "permission_error"
    code = "scope_not_allowed"
    message = "API key lacks required scope"
