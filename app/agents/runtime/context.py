from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.agents.tools.protocol import ServerTool
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream, Usage


class MeteredCall(Protocol):
    """One model call whose highest cost is held."""

    def settle(self, usage: Usage | None, delivered_bytes: int) -> None:
        """The call is over. Without usage what was delivered is estimated; nothing delivered costs nothing."""
        ...


class Meter(Protocol):
    """Counts what a turn's model calls cost."""

    async def open_call(self, model: str, body: JsonObject) -> MeteredCall:
        """Make sure that the call can be paid.

        Raises:
            InsufficientCreditsError: it cannot.
            ModelNotPricedError: nobody knows what it costs.
        """
        ...


@dataclass(frozen=True)
class RunContext:
    """What a run of agents is given: whom to call, what to offer, and where to write down what was said.

    Attributes:
        parameters: what the client set of OpenAI's parameters, for every model call.
        client_tools: tools that the client runs itself.
        server_tools: the turn's tools by name; an agent may use those that it names.
        is_streamed: whether deltas are wanted as they come.
        timeout: seconds that one model call may take.
        transcript: every message that the run adds, each with the agent that wrote it.
    """

    chat_models: ChatModelClient
    upstream: Upstream
    meter: Meter
    parameters: JsonObject
    client_tools: list[JsonObject]
    server_tools: Mapping[str, ServerTool]
    is_streamed: bool
    timeout: float
    transcript: list[tuple[str | None, JsonObject]] = field(default_factory=list)
