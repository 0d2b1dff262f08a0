"""The pages of agents: the tree and the list, the form by type, history, import, deletion."""

from tests.agents.editing import change
from tests.browser.agents import LONG_NAME, hire
from tests.browser.world import Case, World


async def pages(world: World) -> list[Case]:
    await hire(world)
    for text in ("Write the shots.\nUnder 80 words.\n", "Write the shots.\nUnder 60 words.\n"):
        await change(world.database, world.organization, "scriptwriter", instruction=text)
    return [
        Case("agents", "/agents"),
        Case("agents-viewer", "/agents", as_role="viewer"),
        Case("agent-edit", "/agents/illustrator"),
        Case("agent-loop", "/agents/polish"),
        Case("agent-long-name", f"/agents/{LONG_NAME}"),
        Case("agent-viewer", "/agents/orchestrator", as_role="viewer"),
        Case("agent-new", "/agents/new"),
        Case("agent-history", "/agents/scriptwriter/history"),
        Case("agent-delete", f"/agents/{LONG_NAME}/delete"),
        Case("agent-delete-refused", "/agents/critic/delete"),
        Case("agents-import", "/agents/import"),
    ]
