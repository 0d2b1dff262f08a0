"""What a model writes as the arguments of a tool call: anything at all, and nothing of it may break the turn."""

from typing import Any

import orjson

from app.core.json import UnstorableJsonError, storable_json
from app.core.json_limits import CostlyJsonError, check_cost

# In bytes of UTF-8. No model writes as much in one answer.
_MOST_BYTES = 1024 * 1024


class ToolArgumentsError(ValueError):
    """The arguments cannot be used. Its text tells the model why."""


def parse_arguments(text: str) -> dict[str, Any]:
    """The arguments as a JSON object that can be stored and sent to others: NUL characters become U+FFFD.

    Raises:
        ToolArgumentsError: they are no JSON object, too long, too many, nested too deeply, or hold a number that is too
            large.
    """
    written = text.encode(errors="replace") or b"{}"
    if len(written) > _MOST_BYTES:
        raise ToolArgumentsError(f"the arguments are longer than {_MOST_BYTES} bytes")
    try:
        check_cost(written)
        value = orjson.loads(written)
        if isinstance(value, dict):
            return dict(orjson.loads(storable_json(value)))
    except orjson.JSONDecodeError:
        pass
    except (CostlyJsonError, UnstorableJsonError) as error:
        raise ToolArgumentsError(f"the arguments: JSON that {error}") from None
    raise ToolArgumentsError("the arguments are not a JSON object")
