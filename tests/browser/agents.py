"""Agents that the pages of agents are looked at with."""

from typing import Any

from app.agents.editing import list_entries
from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.audit.actor import COMMAND_LINE
from tests.agents.definitions import agent, agents_file, container
from tests.browser.world import World

LONG_NAME = "titles-and-tags-in-the-background-for-chat-interfaces-of-all-kin"
_TOOLS = ["replicate_generate"]
CREW: tuple[dict[str, Any], ...] = (
    {
        "name": "orchestrator",
        "is_orchestrator": True,
        "model": "sim-chat",
        "description": "Answers chats and hands over",
        "sub_agents": ["illustrator", "film-crew", "polish"],
        "instruction": "Answer in the language of the user.\nThe script so far: {script}\n",
    },
    agent(
        "illustrator",
        model="sim-chat",
        tools=_TOOLS,
        description="Pictures from a description",
        instruction="Turn the wish into one prompt.\nStyle notes so far: {style_notes}",
    ),
    container("SEQUENTIAL", "scriptwriter", "shots-and-sound", name="film-crew", description="A short film"),
    agent("scriptwriter", model="sim-metered", description="Writes the shots", output_key="script"),
    container("PARALLEL", "video-maker", "sound-designer", name="shots-and-sound", description="Both together"),
    agent("video-maker", model="sim-chat", tools=_TOOLS, description="Six-second shots"),
    agent("sound-designer", model="sim-chat", tools=_TOOLS, description="Music and ambience"),
    container("LOOP", "critic", "editor", "illustrator", name="polish", is_active=False, max_iterations=3),
    agent("critic", model="sim-metered", description="Says what to mend in a draft"),
    agent("editor", model="sim-chat", description="Mends what the critic found"),
    agent(LONG_NAME, model="sim-chat", description="Answers in words alone. " * 4),
)


async def hire(world: World) -> None:
    """Give the organization a team of agents in place of those that it starts with."""
    async with world.database.transaction() as tx:
        names = await list_entries(tx, world.organization.id)
        await import_agents(tx, world.organization.id, read_agents(agents_file(*CREW)), actor=COMMAND_LINE)
        rest = sorted(names.keys() - {each["name"] for each in CREW})
        await tx.execute(
            "DELETE FROM agents WHERE organization_id = $1 AND name = ANY($2::text[])", world.organization.id, rest
        )
