"""Runs an agent by its type. This is where every run, of the first agent and of those below it, begins."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from app.agents.definition import AgentDefinition, AgentType
from app.agents.runtime import toolset
from app.agents.runtime.containers import run_loop, run_parallel, run_sequence
from app.agents.runtime.context import RunContext
from app.agents.runtime.events import Event, Finished
from app.agents.runtime.llm import call_body, run_llm_agent
from app.chat_models.protocol import JsonObject


async def run_agent(
    context: RunContext,
    agent: AgentDefinition,
    messages: Sequence[JsonObject],
    first_body: JsonObject | None = None,
) -> AsyncGenerator[Event]:
    """Run an agent and everything below it.

    Args:
        context: what the run uses.
        agent: the agent.
        messages: the conversation so far.
        first_body: the result of the function `first_body`, if it was called for this run.

    Yields:
        Deltas as they arrive, if the context asks for a stream; at the end the whole answer.

    Raises:
        AppError: a call could not be paid for, or the provider failed. What was said before is in the transcript.
    """
    async with aclosing(_start(context, agent, messages, first_body)) as events:
        async for event in events:
            if isinstance(event, Finished) and agent.output_key:
                context.state[agent.output_key] = event.text
            yield event


def first_body(context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]) -> JsonObject | None:
    """The body of the model call that the agent's run begins with; None if it is a call of an agent below it."""
    if agent.agent_type is not AgentType.LLM:
        return None
    return call_body(context, agent, messages, toolset.tools_of(context, agent, run_agent), call_number=0)


def refuse_taken_names(context: RunContext, agent: AgentDefinition) -> None:
    """Check the client's tools against those of the agent that would call them.

    Raises:
        InvalidRequestError: two have the same name.
    """
    if answering := _answering_agent(agent):
        toolset.refuse_taken_names(toolset.tools_of(context, answering, run_agent), context.client_tools)


def _answering_agent(agent: AgentDefinition) -> AgentDefinition | None:
    """The LLM agent whose answer is the client's. It alone is offered the client's tools. None if there is none."""
    if agent.agent_type is AgentType.SEQUENTIAL and agent.sub_agents:
        return _answering_agent(agent.sub_agents[-1])
    return agent if agent.agent_type is AgentType.LLM else None


def _start(
    context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject], first_body: JsonObject | None
) -> AsyncGenerator[Event]:
    match agent.agent_type:
        case AgentType.LLM:
            tools = toolset.tools_of(context, agent, run_agent)
            return run_llm_agent(context, agent, messages, tools, first_body)
        case AgentType.SEQUENTIAL:
            return run_sequence(run_agent, context, agent, messages)
        case AgentType.PARALLEL:
            return run_parallel(run_agent, context, agent, messages)
        case AgentType.LOOP:
            return run_loop(run_agent, context, agent, messages)
