from app.core.errors import AppError


class UpstreamRejectedError(AppError):
    """The upstream refuses the request: a parameter, its size or its content. Nothing was run."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    message = "The model provider refused the request"
