from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """What kind of actor changes something."""

    USER = "user"  # of the console
    COMMAND_LINE = "command_line"
    SERVER = "server"


@dataclass(frozen=True)
class Actor:
    """Who changes something.

    Attributes:
        kind: what the actor is.
        id: the id of the user; None for the command line and the server itself.
    """

    kind: ActorKind
    id: str | None = None


# Whoever runs a `junis` command; it does not know operators by name.
COMMAND_LINE = Actor(ActorKind.COMMAND_LINE)
# The server itself, when it does what is due without being asked.
SERVER = Actor(ActorKind.SERVER)
