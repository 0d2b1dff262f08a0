from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

# A request, a message, a completion or a chunk as OpenAI's API defines it. It stays the vendor's JSON, so that nothing
# is lost in conversions.
JsonObject = dict[str, Any]
OutputLimitName = Literal["max_tokens", "max_completion_tokens"]
# The limit of an answer's length has this name in a body, whatever the upstream calls it.
OUTPUT_LIMIT: OutputLimitName = "max_completion_tokens"
# Of text in UTF-8, on average: for estimates.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Upstream:
    """One OpenAI-compatible server.

    Attributes:
        base_url: it ends in `/v1` or similar.
        api_key: its key, or empty.
        output_limit_name: the parameter that limits the length of an answer there. A server that refuses the name is
            asked again with the other one. One that ignores it would answer without a limit.
    """

    base_url: str
    api_key: str
    output_limit_name: OutputLimitName = "max_tokens"


@dataclass(frozen=True)
class UpstreamResponse:
    """A response of an upstream to a request that runs nothing, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Usage:
    """Tokens as the vendor counted them. Both are at least 0."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


class ChatModelClient(Protocol):
    """Calls chat models. One client serves all upstreams.

    A body has the form of OpenAI's API with `OUTPUT_LIMIT` as the limit of the answer's length, and is sent as the
    upstream understands it: if it refuses a parameter that all bodies have (the limit's name, `stream_options`), it is
    asked once more in another way, which is remembered.

    Every method raises `ProviderError`, `ProviderTimeoutError` or `ProviderRateLimitedError` of `app.core.errors`, or
    `UpstreamRejectedError` if the upstream refuses the request itself.
    """

    async def complete(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> JsonObject:
        """One `chat.completion`. `timeout` in seconds limits the whole call. Cancelling it closes the connection."""
        ...

    def stream(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> AsyncGenerator[JsonObject]:
        """The `chat.completion.chunk` objects as they arrive, including the one with the usage.

        It ends normally only if the upstream has finished its answer. If the connection is closed before a
        `finish_reason`, it raises `ProviderError`. Closing the iterator closes the connection.

        Args:
            upstream: whom to call.
            body: the request.
            timeout: limits the whole call, in seconds.
        """
        ...

    async def read(self, upstream: Upstream, path: str, *, timeout: float) -> UpstreamResponse:
        """GET of another address of the upstream, such as `/models`. No status is an error."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
