from typing import Any, TypeAlias

import orjson
from starlette.responses import Response

Json: TypeAlias = dict[str, Any]
"""A JSON object."""

GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
"""What a proxy in front of a vendor answers when the vendor does not."""


def dump(value: object) -> bytes:
    """Encode as compact JSON."""
    return orjson.dumps(value)


def load(content: bytes) -> Any:
    """Decode JSON that can be written again, as a part of the log.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    value = orjson.loads(content)
    try:
        orjson.dumps({"entries": [{"request": value}]})
    except orjson.JSONEncodeError as error:
        raise ValueError("JSON is nested too deeply") from error
    return value


class JsonResponse(Response):
    """A JSON response; ``media_type`` can be given, as for problem documents."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return dump(content)
