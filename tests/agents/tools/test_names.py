"""Tools of the same name: which of them an agent calls."""

import httpx

from app.core.database import Database
from tests.agents.definitions import agent, container, make_team
from tests.chat.asking import answer_of, ask
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


async def rename(database: Database, team: Organization, name: str, new_name: str) -> None:
    """Rename an agent. Imports refuse the name of a tool, but an agent may be older than the tool of its name."""
    statement = "UPDATE agents SET name = $3 WHERE organization_id = $1 AND name = $2"
    async with database.transaction() as tx:
        await tx.execute(statement, team.id, name, new_name)


async def test_a_sub_agent_wins_over_a_tool_of_its_name(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = agent("host", tools=["replicate_generate"], sub_agents=["painter"])
    team = await make_team(database, host, agent("painter", description="An agent."))
    await rename(database, team, "painter", "replicate_generate")

    await answer_of(http, team, "Hello")

    (request,) = upstream.requests()
    (offered,) = request["tools"]
    assert offered["function"]["description"] == "An agent."


async def test_the_tool_of_a_loop_wins_over_a_sub_agent_of_its_name(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("LOOP", "poet", max_iterations=1),
        agent("poet", sub_agents=["judge"]),
        agent("judge", description="An agent."),
    )
    await rename(database, team, "judge", "exit_loop")

    await answer_of(http, team, "Hello")

    (request,) = upstream.requests()
    (offered,) = request["tools"]
    assert offered["function"]["description"] == "End the loop. Call it only when nothing is left to improve."


async def test_a_clients_tool_named_like_one_of_the_agents_tools_is_refused(
    http: httpx.AsyncClient, database: Database
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"]), agent("poet"))

    refused = await ask(http, team, "Hello", tools=[{"type": "function", "function": {"name": "poet"}}])

    assert refused.status_code == 400
    assert refused.json()["error"] == {
        "message": "tools: poet is one of the agent's own tools",
        "type": "invalid_request_error",
        "code": "invalid_request",
        "param": "tools",
    }


async def test_a_tool_that_was_removed_is_not_offered(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host"))
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET tools = '{of_an_older_version}' WHERE organization_id = $1", team.id)

    await answer_of(http, team, "Hello")

    (request,) = upstream.requests()
    assert "tools" not in request
