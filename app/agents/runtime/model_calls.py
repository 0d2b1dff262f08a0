import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from app.agents.runtime.answer import Answer
from app.agents.runtime.events import Delta, Say
from app.agents.runtime.model_call_body import room_for_answer, with_limit
from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.patience import PATIENT, StreamPatience
from app.chat_models.protocol import ChatModelClient, Chunk, JsonObject, Upstream, Usage
from app.chat_models.tool_refusals import refuses_tools, without_tools
from app.core.span_names import Attribute, SpanEvent, SpanName
from app.core.tracing import Attributes, span_var, spanning

logger = logging.getLogger(__name__)


class MeteredCall(Protocol):
    """One model call, with credits held for the most that it can cost."""

    @property
    def body(self) -> JsonObject:
        """What to ask for: its answer may be shorter than was wanted, so that it can be paid for."""
        ...

    def began_answering(self) -> None:
        """Note that the first token of a streamed answer has arrived."""
        ...

    def delivered(self, delivered_bytes: int) -> None:
        """Note how much of a streamed answer has arrived, in bytes of UTF-8."""
        ...

    def settle(self, reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> None:
        """Record what the call costs, which has ended or was cut short. See `judge` for what is paid for.

        Args:
            reported: the best of the upstream's reports.
            delivered_bytes: what arrived of the answer, in bytes of UTF-8.
            is_final: whether the report came with the end of the answer. An earlier one does not count all of it.
        """
        ...


class Meter(Protocol):
    """Counts what a turn's model calls cost."""

    async def open_call(self, agent: str, model: str, body: JsonObject) -> MeteredCall:
        """Make sure that the agent's call can be paid for.

        Raises:
            InsufficientCreditsError: it cannot.
            MaxCreditsReachedError: it cannot within what the request may cost.
            ModelNotPricedError: the model has no price.
        """
        ...


@dataclass(frozen=True)
class ModelRoute:
    """Where a model of the catalog runs.

    Attributes:
        upstream: the server.
        name: its name there.
        max_output_tokens: the longest answer that it may give.
        context_tokens: the most that it takes, prompt and answer together; None if that is not known.
        image_tokens: the most that one image of a prompt counts as.
        file_tokens: the most that one file of a prompt counts as.
    """

    upstream: Upstream
    name: str
    max_output_tokens: int
    context_tokens: int | None = None
    image_tokens: int = 0
    file_tokens: int = 0

    def with_limit(self, body: JsonObject) -> JsonObject:
        """The body with the one limit that its answer has: the client's, the catalog's or the context's."""
        if self.context_tokens is None:
            return with_limit(body, self.max_output_tokens)
        room = room_for_answer(body, self.context_tokens, self.image_tokens, self.file_tokens)
        return with_limit(body, min(self.max_output_tokens, room))


@dataclass(frozen=True)
class ModelCalls:
    """Calls the chat models that a turn's agents use, and meters each call.

    Attributes:
        client: makes the calls.
        routes: where each model runs, by its name in the catalog.
        meter: counts the cost.
        timeout: seconds that one call may take.
        patience: how long a streamed one may be silent.
    """

    client: ChatModelClient
    routes: Mapping[str, ModelRoute]
    meter: Meter
    timeout: float
    patience: StreamPatience = PATIENT

    async def call(
        self,
        agent: str,
        model: str,
        body: JsonObject,
        answer: Answer,
        say: Say | None,
        *,
        of_client: Collection[str] = (),
    ) -> None:
        """Call the model for the agent and collect what it says in `answer`.

        If it refuses tools, and all of them are the server's, it is called once more without them.

        Args:
            agent: the agent's name.
            model: the model's name in the catalog.
            body: the request.
            answer: what the model says is added to it.
            say: takes what the client may see of it, as it arrives; None if the answer is not asked for as a stream.
            of_client: see `ChatModelClient.complete`.

        Raises:
            AppError: the call cannot be paid for, or the provider failed.
        """
        try:
            await self._call(agent, model, body, answer, say, of_client)
        except UpstreamRejectedError as refused:
            # The client has to know what becomes of its own tools.
            if "tools" not in body or answer.has_client_tools or not refuses_tools(refused):
                raise
            logger.warning("tools_refused", extra={"agent": agent, "model": model, "reason": refused.text})
        else:
            return
        await self._call(agent, model, without_tools(body), answer, say, of_client)

    async def _call(
        self, agent: str, model: str, body: JsonObject, answer: Answer, say: Say | None, of_client: Collection[str]
    ) -> None:
        metered = await self.meter.open_call(agent, model, body)
        route = self.routes[model]
        with spanning(SpanName.MODEL_CALL, _asked(route, say), model=route.name) as span:
            try:
                await self._ask(route.upstream, metered.body, answer, metered, say, of_client)
                if span is not None:
                    span.set({Attribute.GEN_AI_FINISH_REASONS: [answer.finish_reason]})
            finally:
                # Also if the call is cut short: what was delivered has to be paid for.
                metered.settle(answer.usage, answer.delivered_bytes, is_final=answer.is_usage_final)
                if span is not None and (usage := answer.usage):
                    span.set(_used(usage))

    async def _ask(
        self,
        upstream: Upstream,
        body: JsonObject,
        answer: Answer,
        metered: MeteredCall,
        say: Say | None,
        of_client: Collection[str],
    ) -> None:
        if say is None:
            for chunk in await self.client.complete(upstream, body, timeout=self.timeout, of_client=of_client):
                answer.add_chunk(chunk)
        else:
            heard = partial(_hear, answer, metered, say)
            await self.client.stream(
                upstream, body, heard, timeout=self.timeout, of_client=of_client, patience=self.patience
            )


def _asked(route: ModelRoute, say: Say | None) -> Attributes:
    return {
        Attribute.GEN_AI_OPERATION: "chat",
        # The protocol that is spoken, whoever speaks it.
        Attribute.GEN_AI_PROVIDER: "openai",
        Attribute.GEN_AI_MODEL: route.name,
        Attribute.GEN_AI_STREAM: say is not None,
    }


def _used(usage: Usage) -> Attributes:
    return {
        Attribute.GEN_AI_INPUT_TOKENS: usage.prompt_tokens,
        Attribute.GEN_AI_OUTPUT_TOKENS: usage.completion_tokens,
    }


async def _hear(answer: Answer, metered: MeteredCall, say: Say, chunks: Sequence[Chunk]) -> None:
    """Add the chunks to the answer, and say what the client may see of them: also of those before one that fails."""
    had_begun = answer.delivered_bytes > 0
    deltas: list[Delta] = []
    try:
        for chunk in chunks:
            if delta := answer.add_chunk(chunk):
                deltas.append(delta)  # noqa: PERF401 - what came before an error is kept
    finally:
        if answer.delivered_bytes and not had_begun:
            metered.began_answering()
            if (span := span_var.get()) is not None:
                span.note(SpanEvent.FIRST_TOKEN)
        metered.delivered(answer.delivered_bytes)
        if deltas:
            await say(deltas)
