"""What an agent may call on the server, and which tool is meant if two have the same name."""

from collections.abc import Container, Sequence

from app.agents.definition import AgentDefinition
from app.agents.runtime.context import RunContext, Runner
from app.agents.runtime.sub_agent_tool import SubAgentTool
from app.agents.tools.protocol import ServerTool
from app.chat_models.protocol import JsonObject
from app.core.errors import InvalidRequestError


def tools_of(context: RunContext, agent: AgentDefinition, run_agent: Runner) -> dict[str, ServerTool]:
    """The tools that the agent names, the agents below it, and the tools of its loop if it runs in one.

    If two have the same name, the agent below wins over the named tool, and the loop's tool wins over both.
    """
    tools = {name: tool for name, tool in context.tools.named.items() if name in agent.tools}
    tools |= {below.name: SubAgentTool(run_agent, context, below) for below in agent.sub_agents}
    return tools | (dict(context.tools.for_loops) if context.loop else {})


def refuse_taken_names(own: Container[str], client_tools: Sequence[JsonObject]) -> None:
    """Check that no tool of the client's has the name of one of the agent's `own`.

    Raises:
        InvalidRequestError: one has, so nobody could tell which of the two the model calls.
    """
    for tool in client_tools:
        name = tool["function"]["name"]
        if name in own:
            raise InvalidRequestError(f"tools: {name} is one of the agent's own tools", param="tools")
