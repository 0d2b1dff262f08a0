from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.agents.definition import AgentType
from app.agents.runtime.agent_run import AgentRun, PreparedRun
from app.agents.runtime.containers import Containers
from app.agents.runtime.events import Event, Finished
from app.agents.runtime.llm import LlmAgents
from app.agents.runtime.model_calls import ModelCalls
from app.agents.runtime.toolset import tools_of
from app.agents.tools.registry import BoundTools


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
        if run.agent.agent_type is not AgentType.LLM:
            return PreparedRun(run, {}, None)
        tools = tools_of(run, self._tools, self.run)
        return PreparedRun(run, tools, self._llm_agents.call_body(run, run.messages, tools, call_number=0))

    def run(self, run: AgentRun) -> AsyncGenerator[Event]:
        """Prepare a run and start it; see `start`."""
        return self.start(self.prepare(run))

    async def start(self, prepared: PreparedRun) -> AsyncGenerator[Event]:
        """Run an agent and everything below it.

        Yields:
            Deltas as they arrive, if the run is streamed; at the end the whole answer.

        Raises:
            AppError: a call could not be paid for, or the provider failed. What was said before is in the transcript.
        """
        agent = prepared.run.agent
        async with aclosing(self._events(prepared)) as events:
            async for event in events:
                if isinstance(event, Finished) and agent.output_key:
                    self._state[agent.output_key] = event.text
                yield event

    def _events(self, prepared: PreparedRun) -> AsyncGenerator[Event]:
        match prepared.run.agent.agent_type:
            case AgentType.LLM:
                return self._llm_agents.run(prepared)
            case AgentType.SEQUENTIAL:
                return self._containers.run_sequence(prepared.run)
            case AgentType.PARALLEL:
                return self._containers.run_parallel(prepared.run)
            case AgentType.LOOP:
                return self._containers.run_loop(prepared.run)
