from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

from app.content.urls import FileUrls
from app.core.attribution import Attribution
from app.core.database import Database, Transaction
from app.core.settings import Settings
from app.credits.request_budget import Budget
from app.queue.protocol import WakeQueue


class LoopExit(Protocol):
    """Ends a loop of agents."""

    def set(self) -> None:
        """End the loop as soon as the agent that is running has finished."""
        ...


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool by an agent. `loop` is None if the agent does not run in a loop."""

    arguments: dict[str, Any]
    loop: LoopExit | None = None


class ServerTool(Protocol):
    """A tool that runs on the server, bound to one turn."""

    @property
    def specification(self) -> dict[str, Any]:
        """The tool's name, description and parameters in the form of OpenAI's `tools` parameter."""
        ...

    async def run(self, call: ToolCall) -> str:
        """Run the tool and return the result for the model to read. Failures are described in it, not raised.

        Raises:
            InsufficientCreditsError: the turn has run out of credits, which ends it.
            MaxCreditsReachedError: likewise, of those that its request may cost.
        """
        ...


@dataclass(frozen=True)
class ToolTurn:
    """The turn that a tool is bound to.

    Attributes:
        user_id: the user who talks to the agents.
        attribution: for whom and by what the tool runs: its organization, session, turn and request.
        request_key: identifies the request if it carries an Idempotency-Key.
        budget: what the request has left for generations; None if it has no limit.
        generations: the models that its tools have asked for a generation, whether or not that was accepted.
    """

    user_id: str
    attribution: Attribution
    request_key: bytes | None
    budget: Budget | None = None
    generations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ToolPorts:
    """What tools share with the rest of the process."""

    database: Database
    queue: WakeQueue
    urls: FileUrls


# Makes the tool for one turn.
ToolMaker = Callable[[ToolTurn], ServerTool]
# Reads what the tool offers: things that rarely change, because a process remembers them for many turns.
ToolFactory = Callable[[Transaction], Awaitable[ToolMaker]]


class OfferedTo(Enum):
    """Which agents may call a tool."""

    AGENTS_THAT_NAME_IT = auto()
    AGENTS_IN_A_LOOP = auto()


@dataclass(frozen=True)
class ToolEntry:
    """A tool in the registry.

    `open_factory` is entered once per process: a tool that needs a connection of its own, for example to a search
    service, opens it there and closes it at the end. It picks what it uses of the settings and the ports. `summary`
    says to operators what the tool does.
    """

    name: str
    open_factory: Callable[[Settings, ToolPorts], AbstractAsyncContextManager[ToolFactory]]
    offered_to: OfferedTo = OfferedTo.AGENTS_THAT_NAME_IT
    summary: str = ""


def specification(name: str, description: str, properties: dict[str, Any], *, required: list[str]) -> dict[str, Any]:
    """A tool in the form of OpenAI's `tools` parameter; `properties` are the JSON schemas of its parameters."""
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
