import logging
from typing import Any, TypeGuard

from app.chat_models.protocol import JsonObject, Usage

# No model reads or writes this much in one call; a larger figure is a fault of the upstream.
MAX_TOKENS = 100_000_000

logger = logging.getLogger(__name__)


def parse_usage(body: JsonObject) -> Usage | None:
    """The tokens that a completion or a chunk reports.

    None where it reports none, and where a figure is missing, negative, no whole number or absurdly large: such a
    figure must become neither a charge nor a credit. A zero that is written is a zero.
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
    # A bool is an int to Python and no count to anybody.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
