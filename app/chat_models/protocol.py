from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.chat_models.patience import PATIENT, StreamPatience

# A request, a message, a completion or a chunk as OpenAI's API defines it. It stays the vendor's JSON, so that nothing
# is lost in conversions.
JsonObject = dict[str, Any]
# A `chat.completion.chunk` as it came; of one that has nothing but a piece of text, only the text.
Chunk = JsonObject | str
# Takes chunks of an answer that have come at once, in order. Once it returns there is room for more.
TakeChunks = Callable[[Sequence[Chunk]], Awaitable[None]]
OutputLimitName = Literal["max_tokens", "max_completion_tokens"]
# The limit of an answer's length has this name in a body, whatever the upstream calls it.
OUTPUT_LIMIT: OutputLimitName = "max_completion_tokens"
# Of text in UTF-8, on average: for estimates.
BYTES_PER_TOKEN = 4
# Of a whole completion, and of what is kept of a stream; see `Answer`.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
# Figures such as `cached_tokens` by their names, in objects such as `prompt_tokens_details` by theirs.
Details = Mapping[str, Mapping[str, int]]


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
    """Tokens as the vendor counted them. Both figures are at least 0.

    `details` say what they consist of; see `Details`. Nothing is charged by them, so usages that differ only in these
    are equal.
    """

    prompt_tokens: int
    completion_tokens: int
    details: Details = field(default_factory=dict, compare=False)

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            {name: _sum(self.details.get(name, {}), other.details.get(name, {})) for name in self._names(other)},
        )

    def _names(self, other: "Usage") -> Collection[str]:
        return {**self.details, **other.details}.keys()


class ChatModelClient(Protocol):
    """Calls chat models. One client serves all upstreams.

    A body has the form of OpenAI's API with `OUTPUT_LIMIT` as the limit of the answer's length, and is sent as the
    upstream understands it: if it refuses something that the client of the API has not asked for (the limit's name,
    `stream_options`, a setting of the agent's, what a model has added to a message), it is asked again without it. This
    is remembered.

    An answer comes as its chunks, whatever the upstream has sent: a whole `chat.completion` is one chunk. Each call
    ends normally only if the upstream has finished its answer.

    Every method raises `ProviderError`, `ProviderTimeoutError`, `ProviderRateLimitedError` or
    `ProviderUnavailableError` of `app.core.errors`, or `UpstreamRejectedError` if the upstream refuses the request
    itself.
    """

    async def complete(
        self, upstream: Upstream, body: JsonObject, *, timeout: float, of_client: Collection[str] = ()
    ) -> Sequence[Chunk]:
        """The chunks of an answer that was not asked for as a stream. Cancelling it closes the connection.

        Args:
            upstream: whom to call.
            body: the request.
            timeout: limits the whole call, in seconds.
            of_client: the parameters of the body that the client of the API has set. They are never left out.
        """
        ...

    async def stream(
        self,
        upstream: Upstream,
        body: JsonObject,
        take: TakeChunks,
        *,
        timeout: float,
        of_client: Collection[str] = (),
        patience: StreamPatience = PATIENT,
    ) -> None:
        """Hand on the chunks as they arrive, including the one with the usage. Cancelling it closes the connection.

        If the connection is closed before a `finish_reason` and before `[DONE]`, it raises `ProviderError`, once all
        that has arrived was taken. Most arguments are those of `complete`.

        Args:
            upstream: whom to call.
            body: the request.
            take: takes the chunks. No more is read until it returns.
            timeout: limits the whole call, in seconds.
            of_client: the parameters of the body that the client of the API has set.
            patience: how long the upstream may be silent.
        """
        ...

    async def post(self, upstream: Upstream, path: str, body: JsonObject, *, timeout: float, most_bytes: int) -> bytes:
        """What the upstream answers, whole and unread, at another address, such as `embeddings`.

        Args:
            upstream: whom to call.
            path: below its base URL.
            body: the request, as it is sent.
            timeout: limits the whole call, in seconds.
            most_bytes: a longer answer is cut off soon after these.
        """
        ...

    async def read(self, upstream: Upstream, path: str, *, timeout: float) -> UpstreamResponse:
        """GET of another address of the upstream, such as `/models`. No status is an error."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
