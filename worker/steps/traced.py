"""What a step does for an attempt belongs to the request that has caused it: its lines in the log, and its spans."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from app.core.request_context import request_id_var, traceparent_var
from app.core.span_names import Attribute, SpanName
from app.core.tracing import Span, Tracer, ending
from app.generations.attempts import Attempt, ClaimedAttempt

_Attempt = TypeVar("_Attempt", bound=Attempt)


@contextmanager
def belonging(attempt: Attempt) -> Iterator[None]:
    """Have what the block logs carry the request and the trace that the attempt belongs to."""
    tokens = (
        (request_id_var, request_id_var.set(attempt.origin.request_id)),
        (traceparent_var, traceparent_var.set(attempt.origin.traceparent)),
    )
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


@contextmanager
def resuming(
    tracer: Tracer | None, name: SpanName, attempt: Attempt, *, began_at: int | None = None
) -> Iterator[Span | None]:
    """A span of what the block does for the attempt, in the trace of the request that has caused it.

    Args:
        tracer: begins it; None if there are no traces.
        name: its name.
        attempt: the attempt.
        began_at: in nanoseconds since 1970; None: now.
    """
    traceparent = attempt.origin.traceparent
    if tracer is None or traceparent is None:
        yield None
        return
    with ending(tracer.begin(name, _described(attempt), traceparent=traceparent, began_at=began_at)) as span:
        yield span


def traced(
    tracer: Tracer | None, name: SpanName, step: Callable[[_Attempt], Awaitable[None]]
) -> Callable[[_Attempt], Awaitable[None]]:
    """The step, with a span for each attempt."""
    if tracer is None:
        return step

    async def run(attempt: _Attempt) -> None:
        with resuming(tracer, name, attempt):
            await step(attempt)

    return run


def _described(attempt: Attempt) -> dict[Attribute, str | int | None]:
    return {
        Attribute.GENERATION: str(attempt.generation_id),
        Attribute.ATTEMPT: attempt.number,
        Attribute.ORGANIZATION: attempt.organization_id,
        Attribute.PREDICTION: attempt.prediction_id,
        Attribute.GEN_AI_MODEL: attempt.model if isinstance(attempt, ClaimedAttempt) else None,
    }
