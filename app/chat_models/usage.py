import logging
from typing import Any, TypeGuard

from app.chat_models.protocol import JsonObject, Usage

# No model reads or writes so many tokens in one call. A larger figure is an error of the upstream.
MAX_TOKENS = 100_000_000

logger = logging.getLogger(__name__)


def parse_usage(body: JsonObject) -> Usage | None:
    """The tokens that a completion or a chunk reports.

    None if it reports none, or if a figure is missing, negative, not a whole number or impossibly large: such a figure
    must not be charged or credited. An explicit zero is a zero.
    """
    reported = body.get("usage")
    if reported is None:
        return None
    counts = reported if isinstance(reported, dict) else {}
    prompt_tokens, completion_tokens = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if _is_count(prompt_tokens) and _is_count(completion_tokens):
        return Usage(prompt_tokens, completion_tokens)
    logger.warning("upstream_usage_refused", extra={"usage": repr(reported)[:500]})
    return None


def _is_count(value: Any) -> TypeGuard[int]:
    # For Python, a bool is an int.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
