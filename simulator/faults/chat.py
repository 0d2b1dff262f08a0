from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ChatFault(StrEnum):
    """What can go wrong with a chat completion.

    Written as a suffix of the model's name (``sim-chat--cut-3``). ``-N`` counts content chunks if the fault
    happens within a stream, seconds if it is a delay, and for a refusal the first N equal requests
    (except for ``status-429-N``, whose number is the ``Retry-After`` header).
    """

    # The answer as a whole
    STATUS_401 = "status-401"
    """Refused: incorrect API key."""
    STATUS_402 = "status-402"
    """Refused: no credit at the vendor."""
    STATUS_403 = "status-403"
    """Refused: no access to the model."""
    STATUS_404 = "status-404"
    """Refused: no such model."""
    STATUS_429 = "status-429"
    """Throttled, with ``Retry-After: N`` if N is given."""
    STATUS_500 = "status-500"
    """The vendor failed."""
    STATUS_503 = "status-503"
    """The vendor is overloaded."""
    HTML_502 = "html-502"
    """A gateway's HTML page."""
    DROP_BEFORE_RESPONSE = "drop-before-response"
    """The connection is closed instead of an answer."""

    # The time it takes
    FIRST_TOKEN_SLOW = "first-token-slow"  # noqa: S105  # a fault's name, no secret
    """Nothing but the response headers for N seconds."""
    SLOW = "slow"
    """The answer takes N seconds longer, spread over its chunks."""
    STALL = "stall"
    """Nothing more after N chunks; the connection stays open."""

    # What a stream breaks off with
    CUT = "cut"
    """The connection is cut after N chunks."""
    ERROR_FRAME = "error-frame"
    """An error frame after N chunks, then the end."""
    GARBAGE = "garbage"
    """A frame that is no JSON after N chunks; the stream goes on behind it."""
    NO_DONE = "no-done"
    """The stream ends without its ``[DONE]``."""
    NO_FINISH = "no-finish"
    """The stream ends after its last content, without a finish reason, usage or ``[DONE]``."""

    # What it says
    NO_USAGE = "no-usage"
    """No usage, though it was asked for."""
    NEGATIVE_USAGE = "negative-usage"
    """Usage below zero."""
    HUGE_USAGE = "huge-usage"
    """Usage in the trillions."""
    NAN_USAGE = "nan-usage"
    """Usage that is not a number (a bare ``NaN``, which is not JSON)."""
    EARLY_USAGE = "early-usage"
    """The first chunk of a stream reports the prompt and one token of the answer."""
    LATE_ZERO_USAGE = "late-zero-usage"
    """The usage comes with the last content of a stream, and zeros in the chunk that should have it."""
    HIDDEN_REASONING = "hidden-reasoning"
    """N more tokens of the answer (default 100), which only ``total_tokens`` counts."""
    CONTENT_FILTER = "content-filter"
    """Finish reason ``content_filter``, with half of the content."""
    TOOL_INDEX_MISSING = "tool-index-missing"
    """Streamed tool calls without their index."""

    # What it knows of the protocol
    NO_MAX_TOKENS = "no-max-tokens"
    """Refuses ``max_tokens``, as OpenAI's reasoning models do."""
    NO_MAX_COMPLETION_TOKENS = "no-max-completion-tokens"
    """Refuses ``max_completion_tokens``, as Mistral's API does."""
    IGNORES_MAX_TOKENS = "ignores-max-tokens"
    """Answers at any length, whatever ``max_tokens`` says."""
    IGNORES_MAX_COMPLETION_TOKENS = "ignores-max-completion-tokens"
    """Does not know ``max_completion_tokens`` and takes no notice of it, as Ollama does."""
    NO_STREAM_OPTIONS = "no-stream-options"
    """Refuses ``stream_options``."""
    CONTEXT = "context"
    """Refuses a prompt that leaves less than the limit of the answer in a context of N tokens, as vLLM does."""


DEFAULT_ARGUMENTS: Mapping[ChatFault, float] = MappingProxyType(
    {
        ChatFault.FIRST_TOKEN_SLOW: 5,
        ChatFault.SLOW: 5,
        ChatFault.STALL: 1,
        ChatFault.CUT: 1,
        ChatFault.ERROR_FRAME: 1,
        ChatFault.GARBAGE: 1,
        ChatFault.HIDDEN_REASONING: 100,
        ChatFault.CONTEXT: 1000,
    }
)
