"""Agents that only run others: in turn, side by side, or again and again."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from app.agents.definition import AgentDefinition
from app.agents.runtime.context import LoopSignal, RunContext, Runner
from app.agents.runtime.events import BETWEEN_TEXTS, Delta, Event, Finished
from app.chat_models.protocol import JsonObject
from app.core.errors import AppError
from app.credits.errors import InsufficientCreditsError


async def collect(events: AsyncGenerator[Event]) -> Finished:
    """The whole answer of a run.

    Raises:
        AppError: the run failed.
    """
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return event
    raise AppError


async def run_sequence(
    run: Runner, context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]
) -> AsyncGenerator[Event]:
    """Run the agents in turn, each seeing what those before it said; the last one's answer is the answer.

    In a loop, it ends with the agent that calls `exit_loop`.
    """
    said = list(messages)
    if context.loop is not None:
        text = await _run_in_turn(run, context, agent, said, LoopSignal(outer=context.loop))
        yield _finish(context, agent, text)
        return
    for below in agent.sub_agents[:-1]:
        answer = await collect(run(context.below(), below, said))
        said.append(_handed_on(below, answer))
    if not agent.sub_agents:
        yield _finish(context, agent, "")
        return
    async with aclosing(run(context, agent.sub_agents[-1], said)) as events:
        async for event in events:
            yield event


async def run_parallel(
    run: Runner, context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]
) -> AsyncGenerator[Event]:
    """Run the agents at the same time; the answer is theirs, in order. One that fails is named and loses no other.

    Raises:
        InsufficientCreditsError: one of them could not be paid.
        AppError: all of them failed; it is the first one's.
    """
    tasks = [asyncio.create_task(collect(run(context.below(), below, messages))) for below in agent.sub_agents]
    texts: list[str] = []
    try:
        await _refuse_if_all_fail(tasks)
        for below, task in zip(agent.sub_agents, tasks, strict=True):
            texts.append(await _text_of(below, task))
            yield Delta({"content": texts[-1] if len(texts) == 1 else BETWEEN_TEXTS + texts[-1]})
    except BaseException:  # raised again
        # Cut short: the conversation remembers what the client has seen of it.
        if texts:
            _write_down(context, agent, BETWEEN_TEXTS.join(texts))
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    yield _finish(context, agent, BETWEEN_TEXTS.join(texts))


async def run_loop(
    run: Runner, context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]
) -> AsyncGenerator[Event]:
    """Run the agents in turn, again and again, until one of them calls `exit_loop` or the iterations are used up.

    The answer is the last thing that was said.
    """
    said = list(messages)
    signal = LoopSignal()
    text = ""
    for _ in range(agent.max_iterations):
        text = await _run_in_turn(run, context, agent, said, signal) or text
        if signal.is_set:
            break
    if text:
        yield Delta({"content": text})
    yield _finish(context, agent, text)


async def _run_in_turn(
    run: Runner, context: RunContext, agent: AgentDefinition, said: list[JsonObject], signal: LoopSignal
) -> str:
    """Run the agents in turn until one of them sets the signal; the last thing that was said, with `said` added to."""
    text = ""
    for below in agent.sub_agents:
        answer = await collect(run(context.below(loop=signal), below, said))
        if answer.text:
            text = answer.text
            said.append(_handed_on(below, answer))
        if signal.is_set:
            break
    return text


async def _refuse_if_all_fail(tasks: Sequence[asyncio.Task[Finished]]) -> None:
    """Wait until one of the tasks has answered; where none does, fail as the first of them."""
    for ended in asyncio.as_completed(tasks):
        try:
            await ended
        except AppError:
            continue
        return
    for task in tasks:
        await task


async def _text_of(agent: AgentDefinition, task: asyncio.Task[Finished]) -> str:
    try:
        return (await task).text
    except InsufficientCreditsError:
        # The turn's own end, not one agent's failure.
        raise
    except AppError as error:
        return f"({agent.name} failed: {error.text})"


def _handed_on(agent: AgentDefinition, answer: Finished) -> JsonObject:
    """What an agent said, as those behind it are to see it: not as something that they said themselves."""
    return {"role": "user", "content": f"[{agent.name}]\n{answer.text}"}


def _finish(context: RunContext, agent: AgentDefinition, text: str) -> Finished:
    return Finished(_write_down(context, agent, text), "stop")


def _write_down(context: RunContext, agent: AgentDefinition, text: str) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": text}
    context.transcript.append((agent.name, message))
    return message
