"""Which models an upstream offers, as its `/models` says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson

from app.chat_models.protocol import ChatModelClient, Upstream, UpstreamResponse

# Their names for the most tokens of prompt and answer together: vLLM; OpenRouter; Groq; Mistral and LM Studio.
_CONTEXT = ("max_model_len", "context_length", "context_window", "max_context_length")
# Words in the names of models that answer no chats.
_NO_CHAT = (
    *("embed", "rerank", "whisper", "tts", "moderation", "dall-e", "bge-", "transcribe", "realtime", "babbage"),
    *("davinci", "image", "imagen", "sora", "flux", "stable-diffusion", "sdxl", "veo-"),
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_DIGITS = 10
# Of an entry: OpenAI's, and those of Ollama's own list.
_NAMES = ("id", "model", "name")


@dataclass(frozen=True)
class OfferedModel:
    """A model of an upstream; `context_tokens` is None if the upstream does not tell it."""

    name: str
    context_tokens: int | None = None


@dataclass(frozen=True)
class Offer:
    """What an upstream's `/models` says. Not every upstream has it.

    Attributes:
        models: those it names; empty if it names none, or was not understood.
        response: the whole response.
    """

    models: Sequence[OfferedModel]
    response: UpstreamResponse

    @classmethod
    def of(cls, response: UpstreamResponse) -> Self:
        """The offer in a response to `/models`, of any status and form."""
        return cls(list(_models(response)), response)

    @property
    def names(self) -> Sequence[str]:
        """The models' names, in the upstream's order."""
        return [model.name for model in self.models]

    def find(self, name: str) -> OfferedModel | None:
        """The model of that name. Ollama's tag `latest` and Gemini's `models/` may be left out of names."""
        spellings = {name, f"{name}:latest", f"models/{name}"}
        return next((model for model in self.models if model.name in spellings), None)

    def first_chat_model(self) -> str | None:
        """The first model that probably answers chats."""
        return next((name for name in self.names if not any(word in name.lower() for word in _NO_CHAT)), None)


async def read_offer(client: ChatModelClient, upstream: Upstream, *, timeout: float) -> Offer:
    """Ask an upstream for its models. That runs nothing and costs nothing.

    Raises:
        ProviderError: it cannot be reached.
        ProviderTimeoutError: it did not respond within `timeout` seconds.
    """
    return Offer.of(await client.read(upstream, "/models", timeout=timeout))


def _models(response: UpstreamResponse) -> Iterator[OfferedModel]:
    try:
        listed = orjson.loads(response.body.removeprefix(_BYTE_ORDER_MARK)) if response.status == 200 else None
    except orjson.JSONDecodeError:
        return
    entries = (listed.get("data") or listed.get("models")) if isinstance(listed, dict) else listed
    for entry in entries if isinstance(entries, list) else []:
        model = {"id": entry} if isinstance(entry, str) else entry
        name = _name_of(model) if isinstance(model, dict) else None
        if name:
            yield OfferedModel(name, _context_tokens(model))


def _name_of(entry: Mapping[str, Any]) -> str | None:
    return next((entry[name] for name in _NAMES if entry.get(name) and isinstance(entry[name], str)), None)


def _context_tokens(entry: Mapping[str, Any]) -> int | None:
    # llama.cpp's server has it in an object of its own.
    inner = entry.get("meta")
    stated = [entry.get(name) for name in _CONTEXT] + [inner.get("n_ctx") if isinstance(inner, dict) else None]
    return next((count for value in stated if (count := _count(value))), None)


def _count(value: Any) -> int | None:
    """The value as a number of tokens, if it is one. Some servers write it as text, or as a float."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < _MOST_DIGITS else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**_MOST_DIGITS:
        return None
    return int(value)
