from dataclasses import dataclass
from typing import Any

import orjson

from app.agents.definition import AgentDefinition
from app.agents.runtime.agent_run import AgentRun, RunAgent
from app.agents.runtime.events import unheard
from app.agents.tools.protocol import ToolCall, specification
from app.core.errors import AppError
from app.credits.errors import InsufficientCreditsError


@dataclass(frozen=True)
class SubAgentTool:
    """An agent that another agent calls as a tool. It sees the request that it is given, not the conversation.

    `caller` is the run of the other agent.
    """

    run_agent: RunAgent
    caller: AgentRun
    agent: AgentDefinition

    @property
    def specification(self) -> dict[str, Any]:
        request = {"type": "string", "description": "What the agent is to do, with all that it needs to know"}
        return specification(self.agent.name, self.agent.description, {"request": request}, required=["request"])

    async def run(self, call: ToolCall) -> str:
        """The agent's answer. If the agent fails, the calling agent gets the error to read and goes on."""
        request = call.arguments.get("request")
        if not isinstance(request, str):
            return '{"error":"the agent needs request (a string)"}'
        messages = [{"role": "user", "content": request}]
        try:
            answer = await self.run_agent(self.caller.below(self.agent, messages), unheard)
        except InsufficientCreditsError:
            raise
        except AppError as error:
            return orjson.dumps({"error": error.text}).decode()
        return answer.text
