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
    STATUS_529 = "status-529"
    """The vendor is overloaded, in Anthropic's words."""
    SUCCESS_201 = "success-201"
    """The answer has the status 201."""
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

    ERROR_TEXT = "error-text"
    """Like ``error-frame``; the error is only a text."""
    ERROR_DETAIL = "error-detail"
    """Like ``error-frame``; the error is FastAPI's ``detail``."""
    ERROR_MESSAGE = "error-message"
    """Like ``error-frame``; the error is a bare object with a message."""
    ERROR_CODE = "error-code"
    """Like ``error-frame``; the code of the error is the number 429."""
    ERROR_CHOICE = "error-choice"
    """Like ``error-frame``; the error is in the choice, as OpenRouter sends it."""

    # How a stream is written
    UNENDED_EVENT = "unended-event"
    """No blank line behind the last event, and no ``[DONE]``."""
    SINGLE_NEWLINES = "single-newlines"
    """No blank lines at all."""
    CARRIAGE_RETURNS = "carriage-returns"
    """Lines end in CR."""
    BYTE_ORDER_MARK = "byte-order-mark"
    """The stream begins with a byte order mark."""
    SPLIT_PAIRS = "split-pairs"
    """A character beyond the first plane comes as two halves of a surrogate pair, each in a chunk of its own."""
    SPLIT_BYTES = "split-bytes"
    """A character beyond ASCII comes as two parts of its bytes, each in a chunk of its own."""
    WHOLE_AT_END = "whole-at-end"
    """The last chunk of a stream is a whole completion, which has all of the answer once more, as MiniMax's."""
    JSON_FOR_STREAM = "json-for-stream"
    """A whole completion although a stream was asked for."""
    STREAM_FOR_JSON = "stream-for-json"
    """A stream although a completion was asked for."""

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
    FLOAT_USAGE = "float-usage"
    """Usage as floats."""
    PROMPT_USAGE = "prompt-usage"
    """Usage without the completion's tokens and the total."""
    CHOICE_USAGE = "choice-usage"
    """Usage in the choice of the last chunk, as Moonshot sends it."""
    HIDDEN_REASONING = "hidden-reasoning"
    """N more tokens of the answer (default 100), which only ``total_tokens`` counts."""
    CONTENT_FILTER = "content-filter"
    """Finish reason ``content_filter``, with half of the content."""
    TOOL_INDEX_MISSING = "tool-index-missing"
    """Streamed tool calls without their index."""
    TOOL_IDS_MISSING = "tool-ids-missing"
    """Tool calls come whole, each with an empty id and the index 0, as Gemini sent them."""
    TOOL_NAMES_CUT = "tool-names-cut"
    """The name of a streamed tool call comes in two pieces, before its arguments."""
    TOOL_NAMES_REPEATED = "tool-names-repeated"
    """Each piece of a streamed tool call has its name, and the last one its arguments as a whole once more."""
    TOOL_ARGUMENTS_ANNOUNCED = "tool-arguments-announced"
    """The arguments of a streamed tool call begin with an empty object that only stands for them."""
    FINISH_END_TURN = "finish-end-turn"
    """A whole answer's finish reason is ``end_turn``."""
    FINISH_MODEL_LENGTH = "finish-model-length"
    """The finish reason is ``model_length``, as Mistral's."""
    FINISH_MAX_TOKENS = "finish-max-tokens"
    """The finish reason is ``MAX_TOKENS``, as Gemini's."""
    FINISH_SAFETY = "finish-safety"
    """The finish reason is ``SAFETY``."""
    FINISH_MALFORMED = "finish-malformed"
    """The finish reason is ``MALFORMED_FUNCTION_CALL``."""
    FINISH_ERROR = "finish-error"
    """The finish reason is ``error``."""
    FINISH_NULL = "finish-null"
    """The finish reason is null to the end, which ``[DONE]`` tells."""
    ARGUMENTS_OBJECT = "arguments-object"
    """The arguments of tool calls are objects, and come in one piece."""
    MANY_CALLS = "many-calls"
    """Every tool call comes N times (default 1001)."""
    THOUGHT_SIGNATURES = "thought-signatures"
    """Tool calls have an ``extra_content``, and are refused if they come back without it, as by Gemini."""
    REASONING_DETAILS = "reasoning-details"
    """Messages with tool calls have ``reasoning_details``, and are refused without them, as by OpenRouter."""
    THINKING_BLOCKS = "thinking-blocks"
    """Messages with tool calls have ``thinking_blocks``, and are refused without them, as by LiteLLM's proxy."""

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
    NO_PARALLEL_TOOL_CALLS = "no-parallel-tool-calls"
    """Refuses ``parallel_tool_calls``, in the words of a server in Rust: a plain text that names all fields."""
    NO_TEMPERATURE = "no-temperature"
    """Refuses ``temperature``, as OpenAI's reasoning models do."""
    NO_ADDITIONS = "no-additions"
    """Refuses messages with fields that are not OpenAI's, as Groq's API does."""
    NO_BASE64 = "no-base64"
    """Of embeddings: refuses vectors in base64."""
    IGNORES_BASE64 = "ignores-base64"
    """Of embeddings: writes numbers, whatever form was asked for."""
    FEWER_VECTORS = "fewer-vectors"
    """Of embeddings: the last input has no vector."""
    NAN_VECTORS = "nan-vectors"
    """Of embeddings: no number of a vector is one, as a model writes that has overflowed."""
    INFINITE_VECTORS = "infinite-vectors"
    """Of embeddings: writes numbers that are larger than a float of 32 bits can be."""
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
        ChatFault.ERROR_TEXT: 1,
        ChatFault.ERROR_DETAIL: 1,
        ChatFault.ERROR_MESSAGE: 1,
        ChatFault.ERROR_CODE: 1,
        ChatFault.ERROR_CHOICE: 1,
        ChatFault.MANY_CALLS: 1001,
        ChatFault.HIDDEN_REASONING: 100,
        ChatFault.CONTEXT: 1000,
    }
)
