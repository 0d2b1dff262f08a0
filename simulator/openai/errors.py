from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from simulator.wire import Json, JsonResponse

_FIELDS = "`messages`, `model`, `max_tokens`, `temperature`, `stream`, `stream_options`, `tools`, `tool_choice`"


class ApiError(Exception):
    """A refusal in OpenAI's envelope.

    Args:
        status: The HTTP status.
        message: What is wrong.
        kind: The envelope's ``type``.
        code: The envelope's ``code``.
        param: The part of the request it is about.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_text = False
        self.body: Json | list[Json] = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.headers = headers


async def render_api_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for `ApiError`."""
    if not isinstance(error, ApiError):
        raise error
    if error.is_text:
        return PlainTextResponse(str(error), error.status)
    return JsonResponse(error.body, error.status, headers=error.headers)


def missing_key() -> ApiError:
    """401: no key."""
    return ApiError(401, "You didn't provide an API key.")


def incorrect_key() -> ApiError:
    """401: a key that is not valid."""
    return ApiError(401, "Incorrect API key provided (simulated).", code="invalid_api_key")


def insufficient_quota() -> ApiError:
    """402: no credit at the vendor."""
    return ApiError(402, "Insufficient credits (simulated).", kind="insufficient_quota", code="insufficient_quota")


def forbidden() -> ApiError:
    """403: the key may not use the model."""
    return ApiError(403, "You are not allowed to sample from this model (simulated).", code="model_not_allowed")


def model_not_found(model: str) -> ApiError:
    """404: no such model."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def invalid_type(param: str) -> ApiError:
    """400: a part of the request is of another type, or is missing."""
    return ApiError(400, f"Invalid type for '{param}'.", code="invalid_type", param=param)


def invalid_schema(param: str) -> ApiError:
    """400: a JSON schema is none, or describes more than anybody could want."""
    return ApiError(400, f"Invalid schema in '{param}'.", code="invalid_json_schema", param=param)


def unsupported_parameter(name: str, *, instead: str) -> ApiError:
    """400: the model does not take this parameter, in OpenAI's words."""
    message = f"Unsupported parameter: '{name}' is not supported with this model. Use '{instead}' instead."
    return ApiError(400, message, code="unsupported_parameter", param=name)


def extra_field(name: str) -> ApiError:
    """422: the request has a field that the server does not know, in the form of FastAPI's servers."""
    error = ApiError(422, f"{name}: Extra inputs are not permitted")
    error.body = {
        "detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]
    }
    return error


def unknown_field(name: str) -> ApiError:
    """422: a plain text, in the words of a server in Rust. It names what it would have taken, too."""
    error = ApiError(422, f"Failed to deserialize the JSON body: unknown field `{name}`, expected one of {_FIELDS}")
    error.is_text = True
    return error


def missing_signature() -> ApiError:
    """400: a call came back without what Gemini has added to it. Its errors are lists."""
    error = ApiError(400, "Function call is missing a thought_signature in functionCall parts.")
    error.body = [{"error": {"code": 400, "message": str(error), "status": "INVALID_ARGUMENT"}}]
    return error


def missing_thoughts() -> ApiError:
    """400: a message with calls came back without the thoughts before them, or with others."""
    return ApiError(400, "The thoughts of a message with tool calls cannot be modified (simulated).")


def unsupported_property(position: int, name: str) -> ApiError:
    """400: a message has a field that is not OpenAI's, in Groq's words."""
    place = f"messages.{position}"
    reason = f"'{place}' : for 'role:assistant' the following must be satisfied[('{place}' : property '{name}' is"
    return ApiError(400, f"{reason} unsupported)]")


def context_exceeded(context: int, prompt: int, answer: int) -> ApiError:
    """400: the prompt and the longest answer do not fit into the context together, in vLLM's words."""
    message = (
        f"'max_tokens' or 'max_completion_tokens' is too large: {answer}. This model's maximum context length is "
        f"{context} tokens and your request has {prompt} input tokens ({answer} > {context} - {prompt})."
    )
    return ApiError(400, message, code="context_length_exceeded", param="max_tokens")


def rate_limited(retry_after: float | None) -> ApiError:
    """429, with the seconds to wait in a header if they are given."""
    headers = None if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    message = "Rate limit reached for requests (simulated)."
    return ApiError(429, message, kind="requests", code="rate_limit_exceeded", headers=headers)


def server_error() -> ApiError:
    """500."""
    return ApiError(500, "The server had an error while processing your request (simulated).", kind="server_error")


def overloaded() -> ApiError:
    """503."""
    return ApiError(503, "The engine is currently overloaded, please try again later.", kind="server_error")


def overloaded_like_anthropic() -> ApiError:
    """529."""
    return ApiError(529, "Overloaded", kind="overloaded_error")
