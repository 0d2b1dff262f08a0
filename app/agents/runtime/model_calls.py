from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from app.agents.runtime.answer import Answer
from app.agents.runtime.events import Delta
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream, Usage


class MeteredCall(Protocol):
    """One model call, with credits held for the most that it can cost."""

    def began_answering(self) -> None:
        """Note that the answer has begun. Only the first time counts."""
        ...

    def settle(self, reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> None:
        """Note what the call has used, once it has ended in any way.

        Args:
            reported: what the upstream has reported, if anything.
            delivered_bytes: UTF-8 bytes of the answer that have arrived.
            is_final: whether the answer has come to its own end.
        """
        ...


class Meter(Protocol):
    """Counts what a turn's model calls cost."""

    async def open_call(self, agent: str, model: str, body: JsonObject) -> MeteredCall:
        """Make sure that the agent's call can be paid for.

        Raises:
            InsufficientCreditsError: it cannot.
            ModelNotPricedError: the model has no price.
        """
        ...


@dataclass(frozen=True)
class ModelRoute:
    """Where a model of the catalog runs, its name there, and the longest answer that it may give, in tokens."""

    upstream: Upstream
    name: str
    max_output_tokens: int


@dataclass(frozen=True)
class ModelCalls:
    """Calls the chat models that a turn's agents use, and meters each call.

    Attributes:
        client: makes the calls.
        routes: where each model runs, by its name in the catalog.
        meter: counts the cost.
        timeout: seconds that one call may take.
    """

    client: ChatModelClient
    routes: Mapping[str, ModelRoute]
    meter: Meter
    timeout: float

    async def call(
        self, agent: str, model: str, body: JsonObject, answer: Answer, *, is_streamed: bool
    ) -> AsyncGenerator[Delta]:
        """Call the model for the agent and collect what it says in `answer`.

        Yields:
            What the client may see, as it arrives; nothing if the call is not streamed.

        Raises:
            AppError: the call cannot be paid for, or the provider failed.
        """
        metered = await self.meter.open_call(agent, model, body)
        upstream = self.routes[model].upstream
        is_final = False
        try:
            if is_streamed:
                async with aclosing(self.client.stream(upstream, body, timeout=self.timeout)) as chunks:
                    async for chunk in chunks:
                        delta = answer.add_chunk(chunk)
                        if answer.delivered_bytes:
                            metered.began_answering()
                        if delta:
                            yield delta
            else:
                answer.add_completion(await self.client.complete(upstream, body, timeout=self.timeout))
            is_final = True
        finally:
            # Also if the call is cut short: what was delivered has to be paid for.
            metered.settle(answer.usage, answer.delivered_bytes, is_final=is_final)
