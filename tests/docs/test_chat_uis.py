"""The page on chat UIs names an agent that new organizations have, and that has no tools."""

from app.agents.toml import read_agents, read_starter_agents
from tests.docs.files import block, read


def test_the_page_has_the_starter_agent_without_tools() -> None:
    (written,) = read_agents(block("docs/chat-uis.md", "toml")).agents
    (starter,) = [agent for agent in read_starter_agents().agents if not agent.tools]

    assert written == starter
    assert read("docs/chat-uis.md").count(f"agent/{written.name}") >= 3
