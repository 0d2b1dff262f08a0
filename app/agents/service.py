from app.agents import repository
from app.agents.definition import AgentDefinition, AgentType
from app.agents.errors import AgentInactiveError, AgentNotFoundError, AgentNotInvocableError
from app.agents.models import Agent
from app.core.database import Transaction


async def get_orchestrator(tx: Transaction, organization_id: str, default_model: str) -> AgentDefinition:
    """The agent that answers the organization's chats, with everything below it.

    Raises:
        AgentNotFoundError: the organization has none.
        AgentInactiveError: it is switched off.
    """
    orchestrator = await repository.find_orchestrator(tx, organization_id)
    if orchestrator is None:
        raise AgentNotFoundError("The organization has no orchestrator agent")
    if not orchestrator.is_active:
        raise AgentInactiveError
    return await _define(tx, orchestrator, default_model)


async def get_agent_by_name(tx: Transaction, organization_id: str, name: str, default_model: str) -> AgentDefinition:
    """An LLM agent of the organization, to be invoked directly.

    Raises:
        AgentNotFoundError: the organization has none of that name.
        AgentInactiveError, AgentNotInvocableError: it is switched off, or runs only other agents.
    """
    return await _invocable(tx, await repository.find_by_name(tx, organization_id, name), default_model)


async def get_agent(tx: Transaction, organization_id: str, agent_id: str, default_model: str) -> AgentDefinition:
    """An LLM agent of the organization by its id; see `get_agent_by_name`."""
    return await _invocable(tx, await repository.find_by_id(tx, organization_id, agent_id), default_model)


async def _invocable(tx: Transaction, agent: Agent | None, default_model: str) -> AgentDefinition:
    if agent is None:
        raise AgentNotFoundError
    if not agent.is_active:
        raise AgentInactiveError
    if agent.agent_type != AgentType.LLM:
        raise AgentNotInvocableError
    return await _define(tx, agent, default_model)


async def _define(tx: Transaction, root: Agent, default_model: str) -> AgentDefinition:
    agents = {root.id: root}
    below: dict[str, list[str]] = {}
    links = await repository.list_links(tx, root.organization_id)
    if links:
        agents = {agent.id: agent for agent in await repository.list_agents(tx, root.organization_id)}
    for link in links:
        below.setdefault(link.agent_id, []).append(link.sub_agent_id)

    def build(agent: Agent) -> AgentDefinition:
        subs = [agents[sub_id] for sub_id in below.get(agent.id, [])]
        return AgentDefinition(
            id=agent.id,
            name=agent.name,
            description=agent.description,
            agent_type=AgentType(agent.agent_type),
            instruction=agent.instruction,
            model=agent.model or default_model,
            temperature=agent.temperature,
            max_output_tokens=agent.max_output_tokens,
            max_llm_calls=agent.max_llm_calls,
            max_iterations=agent.max_iterations,
            max_history_tokens=agent.max_history_tokens,
            tools=tuple(agent.tools),
            output_key=agent.output_key,
            sub_agents=tuple(build(sub) for sub in subs if sub.is_active),
        )

    return build(root)
