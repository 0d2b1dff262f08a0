from functools import partial

from app.agents.definition import AgentDefinition, AgentType
from app.agents.runtime.agent_run import AgentRun, PreparedRun
from app.agents.runtime.containers import Containers
from app.agents.runtime.events import Finished, Say
from app.agents.runtime.llm import LlmAgents
from app.agents.runtime.model_calls import ModelCalls
from app.agents.runtime.toolset import tools_of
from app.agents.tools.registry import BoundTools
from app.core.span_names import Attribute, SpanName
from app.core.tracing import Attributes, spanning


class AgentRunner:
    """Runs the agents of one turn by their types. Every run, of the first agent and of those below it, begins here."""

    def __init__(self, models: ModelCalls, tools: BoundTools) -> None:
        # Texts that agents have written under their output keys.
        self._state: dict[str, str] = {}
        self._tools = tools
        self._llm_agents = LlmAgents(models, self._state)
        self._containers = Containers(self.run)

    def prepare(self, run: AgentRun) -> PreparedRun:
        """Build what a run begins with."""
        match run.agent.agent_type:
            case AgentType.LLM:
                tools = tools_of(run, self._tools, self.run)
                body = self._llm_agents.first_body(run, tools)
                return PreparedRun(run, body, partial(self._llm_agents.run, run, tools, body))
            case AgentType.SEQUENTIAL:
                return PreparedRun(run, None, partial(self._containers.run_sequence, run))
            case AgentType.PARALLEL:
                return PreparedRun(run, None, partial(self._containers.run_parallel, run))
            case AgentType.LOOP:
                return PreparedRun(run, None, partial(self._containers.run_loop, run))

    async def run(self, run: AgentRun, say: Say) -> Finished:
        """Prepare a run and start it; see `start`."""
        return await self.start(self.prepare(run), say)

    async def start(self, prepared: PreparedRun, say: Say) -> Finished:
        """Run an agent and everything below it.

        Args:
            prepared: the run.
            say: takes the pieces of the answer as they arrive, if the run is streamed.

        Returns:
            The whole answer.

        Raises:
            AppError: a call could not be paid for, or the provider failed. What was said before is in the transcript.
        """
        agent = prepared.run.agent
        with spanning(SpanName.AGENT, _described(agent), agent=agent.name):
            answer = await prepared.perform(say)
        if agent.output_key:
            self._state[agent.output_key] = answer.text
        return answer


def _described(agent: AgentDefinition) -> Attributes:
    return {
        Attribute.GEN_AI_OPERATION: "invoke_agent",
        Attribute.GEN_AI_AGENT: agent.name,
        Attribute.AGENT_TYPE: agent.agent_type.value,
    }
