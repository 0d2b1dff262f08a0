from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace

from app.agents.definition import AgentDefinition
from app.agents.runtime.events import Event
from app.agents.runtime.model_calls import ModelCalls
from app.agents.tools.registry import BoundTools
from app.chat_models.protocol import JsonObject

# The client's parameters that also apply to agents below the answering one. The rest shape the client's answer.
_FOR_ALL_AGENTS = ("seed", "user", "metadata")


@dataclass
class LoopSignal:
    """Set by an agent of a loop when nothing is left to improve.

    Setting a signal also sets its `outer` signal, so a part of the loop that has a signal of its own can end the
    whole loop. The reverse is not true: the signal of one part is not set by another part.
    """

    outer: "LoopSignal | None" = None
    is_set: bool = False

    def set(self) -> None:
        """End the loop as soon as the agent that is running has finished."""
        self.is_set = True
        if self.outer is not None:
            self.outer.set()


@dataclass(frozen=True)
class RunContext:
    """What the agents of one run share.

    Attributes:
        models: calls the chat models.
        parameters: the OpenAI parameters that the client has set.
        client_tools: tools that the client runs itself.
        tools: the server tools, bound to the turn.
        is_streamed: whether the client wants the answer as it arrives.
        loop: the signal of the loop that the agent runs in, if any.
        state: texts that agents have written under their output keys.
        transcript: every message that the run adds to the conversation, each with the name of its agent.
    """

    models: ModelCalls
    parameters: JsonObject
    client_tools: Sequence[JsonObject]
    tools: BoundTools
    is_streamed: bool
    loop: LoopSignal | None = None
    state: dict[str, str] = field(default_factory=dict)
    transcript: list[tuple[str | None, JsonObject]] = field(default_factory=list)

    def below(self, *, loop: LoopSignal | None = None) -> "RunContext":
        """The context for an agent whose answer goes to another agent and not to the client."""
        parameters = {name: value for name, value in self.parameters.items() if name in _FOR_ALL_AGENTS}
        return replace(
            self, parameters=parameters, client_tools=(), is_streamed=False, loop=loop or self.loop, transcript=[]
        )


# Runs an agent on messages. Passed to what runs agents below an agent, because `dispatch` imports those modules.
Runner = Callable[[RunContext, AgentDefinition, Sequence[JsonObject]], AsyncGenerator[Event]]
