"""Vectors of texts by the embedding models of the operator's upstreams: held, called, charged."""

import asyncio
import logging
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Final, TypeVar

from app.chat.turns.upstreams import Upstreams
from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream
from app.core.body_budget import held_body_var
from app.core.concurrency import cancel_all
from app.core.database import Database
from app.core.errors import AppError, ServiceUnavailableError
from app.core.metrics import MODEL_CALLS, MODEL_SECONDS, MODEL_TOKENS
from app.core.persistence import until_done
from app.credits.counting import count_use
from app.credits.metering import MeteredUse
from app.embeddings.asked import EmbeddingsRequestOf, EmbeddingsResult
from app.embeddings.booking import OpenedCall, close_call, open_call
from app.embeddings.vector_lists import EmbeddingsAnswer, read_answer
from app.idempotency import service as idempotency

logger = logging.getLogger(__name__)

# Of an answer as it is read.
_MOST_BYTES: Final = 128 * 1024 * 1024
# What an input's vector probably takes in memory: 1,536 numbers in base64, and as they are kept.
_BYTES_OF_VECTOR: Final = 16 * 1024
# How long after the end of a call its client is told that it could not be charged. It goes on being charged.
_STORING_SECONDS: Final = 10.0
_MOST_REMEMBERED: Final = 1000

_T = TypeVar("_T")


class Embeddings:
    """Runs the requests for embeddings of this process. Each goes on, and is charged, if its client hangs up."""

    def __init__(
        self, database: Database, upstreams: Upstreams, chat_models: ChatModelClient, *, time_limit: float
    ) -> None:
        self._database = database
        self._upstreams = upstreams
        self._chat_models = chat_models
        self._time_limit = time_limit
        # The models, each with its upstream, that refuse to write vectors in base64.
        self._only_floats: set[tuple[str, str]] = set()
        self._asking: set[asyncio.Task[Any]] = set()
        self._storing: set[asyncio.Task[Any]] = set()
        self._running: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    async def create(self, request: EmbeddingsRequestOf) -> EmbeddingsResult:
        """The vectors of the request's inputs.

        Raises:
            UnknownModelError, ModelNotPricedError, InsufficientCreditsError, MaxCreditsReachedError,
            IdempotencyKeyInProgressError, IdempotencyKeyReusedError: the request is refused.
            ServerBusyError: there is too much in hand at the moment.
            UpstreamRejectedError, ProviderError, ProviderTimeoutError, ProviderRateLimitedError,
            ProviderUnavailableError: the upstream has no answer. It costs nothing.
            ServiceUnavailableError: Postgres is away, or the process is stopping.
        """
        held = held_body_var.get()
        if held:
            await held.add(len(request.inputs.values) * _BYTES_OF_VECTOR)
        call = await open_call(self._database, request, self._time_limit)
        if isinstance(call, EmbeddingsResult):
            return call
        running = self._begin(self._run(call), self._running)
        if held:
            held.keep()
            running.add_done_callback(lambda _: held.let_go())
        return await asyncio.shield(running)

    async def drain(self) -> None:
        """End all calls, also those that begin later, and wait until they are charged or given up."""
        self._is_stopping = True
        for asking in self._asking:
            asking.cancel()
        if pending := {*self._running, *self._storing}:
            _, left = await asyncio.wait(pending, timeout=_STORING_SECONDS)
            await cancel_all(left)

    async def _run(self, call: OpenedCall) -> EmbeddingsResult:
        """Call the model, and charge what that has cost."""
        idempotent = call.request.idempotent
        renewing = asyncio.create_task(idempotency.keep(self._database, idempotent)) if idempotent else None
        use, result = call.use(None), None
        try:
            answer = await self._answer(call)
            estimated = call.request.inputs.estimate
            tokens = estimated if answer.tokens is None else answer.tokens
            use = call.use(tokens, is_estimated=answer.tokens is None)
            result = EmbeddingsResult(call.model.name, answer.vectors, tokens)
        finally:
            # Also of a call that has failed: its hold ends, and its key is free again.
            storing = self._begin(self._store(call, use, result), self._storing)
            if renewing:
                storing.add_done_callback(lambda _: renewing.cancel())
            await asyncio.wait({storing}, timeout=_STORING_SECONDS)
        return _stored(storing, result)

    async def _answer(self, call: OpenedCall) -> EmbeddingsAnswer:
        asking = self._begin(self._ask(call), self._asking)
        if self._is_stopping:
            asking.cancel()
        try:
            return await asking
        except asyncio.CancelledError:
            raise ServiceUnavailableError from None
        except AppError:
            raise
        except Exception as error:  # a defect of this program, reported to the client as an internal error
            logger.exception("embeddings_failed", extra={"reference": call.reference})
            raise AppError from error

    async def _ask(self, call: OpenedCall) -> EmbeddingsAnswer:
        upstream = self._upstreams.of_model(call.model)
        name = call.model.upstream_model or call.model.name
        inputs = call.request.inputs.values
        body: JsonObject = {**call.request.parameters, "model": name, "input": inputs}
        answer = await self._in_either_form(upstream, body)
        return await read_answer(answer, len(inputs))

    async def _in_either_form(self, upstream: Upstream, body: JsonObject) -> bytes:
        """The answer in base64, which is a quarter as long; in floats if the upstream refuses the former."""
        place = (upstream.base_url, body["model"])
        if place not in self._only_floats:
            try:
                return await self._post(upstream, {**body, "encoding_format": "base64"})
            except UpstreamRejectedError as refusal:
                if not _is_about_form(refusal):
                    raise
        answer = await self._post(upstream, body)
        if len(self._only_floats) < _MOST_REMEMBERED:
            self._only_floats.add(place)
        return answer

    async def _post(self, upstream: Upstream, body: JsonObject) -> bytes:
        return await self._chat_models.post(
            upstream, "embeddings", body, timeout=self._time_limit, most_bytes=_MOST_BYTES
        )

    async def _store(self, call: OpenedCall, use: MeteredUse, result: EmbeddingsResult | None) -> None:
        """Write the end of a call, for as long as that takes while Postgres is away."""
        await until_done(lambda: close_call(self._database, call, use, result), expires_at=call.expires_at)
        count_use(use.kind, use.model, use.cost)
        MODEL_CALLS.labels(use.model, "free" if use.prompt_tokens is None else "used").inc()
        MODEL_SECONDS.labels(use.model).observe(monotonic() - call.began_at)
        MODEL_TOKENS.labels(use.model, "prompt").inc(use.prompt_tokens or 0)

    def _begin(self, work: Coroutine[Any, Any, _T], among: set[asyncio.Task[Any]]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)
        return task


def _stored(storing: asyncio.Task[None], result: EmbeddingsResult) -> EmbeddingsResult:
    """The result, which is charged.

    Raises:
        ServiceUnavailableError: it could not be charged in time. It may still be.
    """
    if not storing.done() or storing.cancelled() or isinstance(storing.exception(), ServiceUnavailableError):
        late = ServiceUnavailableError("The embeddings could not be charged in time")
        late.retryable = False
        raise late
    storing.result()
    return result


def _is_about_form(refusal: UpstreamRejectedError) -> bool:
    said = f"{refusal.param} {refusal.text}".lower()
    return "encoding_format" in said or "base64" in said
