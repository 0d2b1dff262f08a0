from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

# A request, a message, a completion or a chunk in OpenAI's wire form: kept as the vendor's JSON from end to end,
# so that nothing is lost in conversions to and fro.
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Upstream:
    """One OpenAI-compatible server: the base URL that ends in `/v1` or the like, and its key."""

    base_url: str
    api_key: str


@dataclass(frozen=True)
class Usage:
    """Tokens as the vendor counted them; both are non-negative."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


class ChatModelClient(Protocol):
    """Calls chat models; one client serves every upstream.

    Every method raises `ProviderError`, `ProviderTimeoutError`, `ProviderRateLimitedError` of `app.core.errors`, and
    `UpstreamRejectedError` where the upstream refuses the request itself.
    """

    async def complete(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> JsonObject:
        """One `chat.completion`. `timeout` in seconds bounds the whole call. Cancelling it closes the connection."""
        ...

    def stream(self, upstream: Upstream, body: JsonObject, *, timeout: float) -> AsyncGenerator[JsonObject]:
        """The `chat.completion.chunk` objects as they come, usage included.

        Ends normally only when the upstream finished its answer: a connection cut before a `finish_reason` raises
        `ProviderError`. Closing the iterator closes the connection.
        """
        ...

    async def close(self) -> None:
        """Give back the connections."""
        ...
