"""What an agent may call on the server, and which tool is meant if two have the same name."""

from collections.abc import Sequence

from app.agents.definition import AgentDefinition, AgentType
from app.agents.runtime.agent_run import AgentRun, RunAgent
from app.agents.runtime.sub_agent_tool import SubAgentTool
from app.agents.tools.protocol import ServerTool
from app.agents.tools.registry import BoundTools
from app.chat_models.protocol import JsonObject
from app.core.errors import InvalidRequestError


def tools_of(run: AgentRun, bound: BoundTools, run_agent: RunAgent) -> dict[str, ServerTool]:
    """The tools that the agent names, the agents below it, and the tools of its loop if it runs in one.

    If two have the same name, the agent below wins over the named tool, and the loop's tool wins over both. There are
    none if the client requires a call of its own tools: it waits for one, and the model would be free to call others.
    """
    if run.must_call_client:
        return {}
    tools = {name: tool for name, tool in bound.named.items() if name in run.agent.tools}
    tools |= {below.name: SubAgentTool(run_agent, run, below) for below in run.agent.sub_agents}
    return tools | (dict(bound.for_loops) if run.loop else {})


def refuse_taken_names(root: AgentDefinition, bound: BoundTools, client_tools: Sequence[JsonObject]) -> None:
    """Check that no tool of the client's has the name of a tool of the agent that answers the client.

    `root` is the agent that the client has asked, which may leave the answer to one below it.

    Raises:
        InvalidRequestError: one has, so nobody could tell which of the two the model calls.
    """
    agent = _answering_agent(root)
    if agent is None:
        return
    taken = {name for name in bound.named if name in agent.tools} | {below.name for below in agent.sub_agents}
    for tool in client_tools:
        name = tool["function"]["name"]
        if name in taken:
            raise InvalidRequestError(f"tools: {name} is one of the agent's own tools", param="tools")


def _answering_agent(agent: AgentDefinition) -> AgentDefinition | None:
    """The LLM agent whose answer is the client's. It alone is offered the client's tools. None if there is none."""
    if agent.agent_type is AgentType.SEQUENTIAL and agent.sub_agents:
        return _answering_agent(agent.sub_agents[-1])
    return agent if agent.agent_type is AgentType.LLM else None
