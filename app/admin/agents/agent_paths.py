"""The addresses of agents' pages."""

from typing import Final

from app.admin.rendering import segment

# What stands at the place of a name in an address and is none.
_TAKEN: Final = frozenset({"new", "import"})


def path_of(name: str, agent_id: str, page: str = "") -> str:
    """The address of an agent's page below the console's. It has the agent's name, or its id where that cannot be.

    Args:
        name: the agent's name.
        agent_id: its id.
        page: what follows: `history` or `delete`.
    """
    known_by = agent_id if name in _TAKEN else name
    return f"/agents/{segment(known_by)}" + (f"/{page}" if page else "")
