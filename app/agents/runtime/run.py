from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from app.agents.definition import AgentDefinition, AgentType
from app.agents.runtime.containers import collect, run_loop, run_parallel, run_sequence
from app.agents.runtime.context import RunContext
from app.agents.runtime.events import Event, Finished
from app.agents.runtime.llm import call_body, run_llm_agent
from app.agents.tools.exit_loop import ExitLoop
from app.agents.tools.protocol import ServerTool
from app.chat_models.protocol import JsonObject
from app.core.errors import AppError
from app.credits.errors import InsufficientCreditsError


async def run_agent(
    context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]
) -> AsyncGenerator[Event]:
    """Run an agent with everything below it.

    Yields:
        The deltas as they come where the context wants them, and at last the whole answer.

    Raises:
        AppError: a call could not be paid or failed at the provider; what was said before is in the transcript.
    """
    async with aclosing(_start(context, agent, messages)) as events:
        async for event in events:
            if isinstance(event, Finished) and agent.output_key:
                context.state[agent.output_key] = event.text
            yield event


def first_body(context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]) -> JsonObject | None:
    """The request that the agent's run begins with; None where that depends on the agents below it."""
    if agent.agent_type is not AgentType.LLM:
        return None
    return call_body(context, agent, messages, tools_of(context, agent), call_number=0)


def answering_agent(agent: AgentDefinition) -> AgentDefinition | None:
    """The LLM agent whose answer is the client's, and which alone is offered the client's tools; None without one."""
    if agent.agent_type is AgentType.SEQUENTIAL and agent.sub_agents:
        return answering_agent(agent.sub_agents[-1])
    return agent if agent.agent_type is AgentType.LLM else None


def tools_of(context: RunContext, agent: AgentDefinition) -> dict[str, ServerTool]:
    """What the agent may call on the server: its tools, the agents below it, and the way out of its loop."""
    tools = {name: tool for name, tool in context.server_tools.items() if name in agent.tools}
    tools |= {below.name: AgentTool(context, below) for below in agent.sub_agents}
    return tools | ({ExitLoop.name: ExitLoop(context.loop)} if context.loop else {})


@dataclass(frozen=True)
class AgentTool:
    """An agent that another one calls as a tool. It sees what it is asked, not the conversation."""

    context: RunContext
    agent: AgentDefinition

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def specification(self) -> dict[str, Any]:
        request = {"type": "string", "description": "What the agent is to do, with all that it needs to know"}
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.agent.description,
                "parameters": {"type": "object", "properties": {"request": request}, "required": ["request"]},
            },
        }

    async def run(self, arguments: dict[str, Any]) -> str:
        """What the agent answers. Its failure is told, for the caller to make the best of it."""
        request = arguments.get("request")
        if not isinstance(request, str):
            return '{"error":"the agent needs request (a string)"}'
        try:
            answer = await collect(run_agent(self.context.below(), self.agent, [{"role": "user", "content": request}]))
        except InsufficientCreditsError:
            raise
        except AppError as error:
            return orjson.dumps({"error": error.text}).decode()
        return answer.text


def _start(context: RunContext, agent: AgentDefinition, messages: Sequence[JsonObject]) -> AsyncGenerator[Event]:
    match agent.agent_type:
        case AgentType.LLM:
            return run_llm_agent(context, agent, messages, tools_of(context, agent))
        case AgentType.SEQUENTIAL:
            return run_sequence(run_agent, context, agent, messages)
        case AgentType.PARALLEL:
            return run_parallel(run_agent, context, agent, messages)
        case AgentType.LOOP:
            return run_loop(run_agent, context, agent, messages)
