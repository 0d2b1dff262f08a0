"""Agents that only run other agents: one after the other, at the same time, or in a loop."""

import asyncio
from collections.abc import Sequence

from app.agents.definition import AgentDefinition
from app.agents.runtime.agent_run import AgentRun, LoopSignal, RunAgent
from app.agents.runtime.events import BETWEEN_TEXTS, Delta, Finished, Say, unheard
from app.chat_models.protocol import JsonObject
from app.core.errors import AppError
from app.credits.errors import InsufficientCreditsError


class Containers:
    """Runs agents that only run other agents."""

    def __init__(self, run_agent: RunAgent) -> None:
        self._run_agent = run_agent

    async def run_sequence(self, run: AgentRun, say: Say) -> Finished:
        """Run the agents one after the other. Each sees what those before it said, and the last one gives the answer.

        If the sequence is part of a loop, it ends after an agent that ends the loop.
        """
        said = list(run.messages)
        if run.loop is not None:
            text = await self._run_one_after_another(run, said, LoopSignal(outer=run.loop))
            return Finished(run.conclude(text), "stop")
        if not run.agent.sub_agents:
            return Finished(run.conclude(""), "stop")
        *earlier, last = run.agent.sub_agents
        for below in earlier:
            said.append(_as_user_message(below, await self._answer_of(run.below(below, said))))
        return await self._run_agent(run.continued_by(last, said), say)

    async def run_parallel(self, run: AgentRun, say: Say) -> Finished:
        """Run the agents at the same time. The answer joins their answers in order.

        An agent that fails does not end the others: the answer says that it failed.

        Raises:
            InsufficientCreditsError: one of them could not be paid for.
            AppError: all of them failed. It is the error of the first in order.
        """
        agents = run.agent.sub_agents
        tasks = [asyncio.create_task(self._answer_of(run.below(below, run.messages))) for below in agents]
        texts: list[str] = []
        try:
            await _wait_for_one(tasks)
            for below, task in zip(agents, tasks, strict=True):
                texts.append(await _text_of(below, task))
                await say([Delta({"content": texts[-1] if len(texts) == 1 else BETWEEN_TEXTS + texts[-1]})])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Finished(run.conclude(BETWEEN_TEXTS.join(texts)), "stop")

    async def run_loop(self, run: AgentRun, say: Say) -> Finished:
        """Run the agents one after the other, repeatedly, until one ends the loop or the iterations are used up.

        The answer is the last text that an agent has produced.
        """
        said = list(run.messages)
        signal = LoopSignal()
        text = ""
        for _ in range(run.agent.max_iterations):
            text = await self._run_one_after_another(run, said, signal) or text
            if signal.is_set:
                break
        if text:
            await say([Delta({"content": text})])
        return Finished(run.conclude(text), "stop")

    async def _run_one_after_another(self, run: AgentRun, said: list[JsonObject], signal: LoopSignal) -> str:
        """Run the agents one after the other until one sets the signal. The last text, or "" if none said anything.

        What each agent says is appended to `said`.
        """
        text = ""
        for below in run.agent.sub_agents:
            answer = await self._answer_of(run.below(below, said, loop=signal))
            if answer.text:
                text = answer.text
                said.append(_as_user_message(below, answer))
            if signal.is_set:
                break
        return text

    async def _answer_of(self, run: AgentRun) -> Finished:
        return await self._run_agent(run, unheard)


async def _wait_for_one(tasks: Sequence[asyncio.Task[Finished]]) -> None:
    """Wait until one of the tasks has an answer.

    Raises:
        AppError: all of them failed. It is the error of the first in order.
    """
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
        # This ends the whole turn, not only this agent.
        raise
    except AppError as error:
        return f"({agent.name} failed: {error.text})"


def _as_user_message(agent: AgentDefinition, answer: Finished) -> JsonObject:
    """What an agent said, as a message for the agents after it. As an assistant message it would look like theirs."""
    return {"role": "user", "content": f"[{agent.name}]\n{answer.text}"}
