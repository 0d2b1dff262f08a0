from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.agents.definition import AgentDefinition
from app.agents.runtime.events import Event
from app.agents.tools.protocol import ServerTool
from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream, Usage

# What of the client's wishes reaches the agents below the one that answers: not the form of the answer.
_FOR_ALL_AGENTS = ("seed", "user", "metadata")


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
class ModelRoute:
    """Where a model of the catalog runs, what it is called there, and how long its answers may be."""

    upstream: Upstream
    name: str
    max_output_tokens: int


@dataclass
class LoopSignal:
    """Set by an agent of a loop that has nothing left to improve.

    One with an `outer` signal is of a part of the loop: set, it ends the whole, but is not set by other parts.
    """

    outer: "LoopSignal | None" = None
    is_set: bool = False

    def set(self) -> None:
        """End the loop, once the agent has finished that says so."""
        self.is_set = True
        if self.outer is not None:
            self.outer.set()


@dataclass(frozen=True)
class RunContext:
    """What a run of agents is given: whom to call, what to offer, and where to write down what was said.

    Attributes:
        routes: where each model runs that the agents may call.
        parameters: what the client set of OpenAI's parameters.
        client_tools: tools that the client runs itself.
        server_tools: the turn's tools by name; an agent may use those that it names.
        is_streamed: whether deltas are wanted as they come.
        timeout: seconds that one model call may take.
        loop: the loop that the agent runs in, if any.
        state: what agents have written under their output keys.
        transcript: every message that the run adds to the conversation, each with the agent that wrote it.
    """

    chat_models: ChatModelClient
    routes: Mapping[str, ModelRoute]
    meter: Meter
    parameters: JsonObject
    client_tools: Sequence[JsonObject]
    server_tools: Mapping[str, ServerTool]
    is_streamed: bool
    timeout: float
    loop: LoopSignal | None = None
    state: dict[str, str] = field(default_factory=dict)
    transcript: list[tuple[str | None, JsonObject]] = field(default_factory=list)

    def below(self, *, loop: LoopSignal | None = None) -> "RunContext":
        """The context of an agent whose answer is not the client's, but another agent's to use."""
        parameters = {name: value for name, value in self.parameters.items() if name in _FOR_ALL_AGENTS}
        return replace(
            self, parameters=parameters, client_tools=(), is_streamed=False, loop=loop or self.loop, transcript=[]
        )


Runner = Callable[[RunContext, AgentDefinition, Sequence[JsonObject]], AsyncGenerator[Event]]
