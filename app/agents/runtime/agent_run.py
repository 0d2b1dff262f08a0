from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from app.agents.definition import AgentDefinition
from app.agents.runtime.events import Finished, Say
from app.chat_models.protocol import JsonObject

# The client's parameters that also apply to agents below the answering one: for whom and how a call is made. The rest
# shape the client's answer.
_FOR_ALL_AGENTS = ("seed", "user", "safety_identifier", "metadata", "service_tier", "store")

# A message, and the name of the agent that wrote it; None for the client.
Said = tuple[str | None, JsonObject]


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


def _named_in(choice: object) -> str | None:
    """The name of the one function that a `tool_choice` demands, if it demands one."""
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


@dataclass(frozen=True)
class AgentRun:
    """One run of an agent.

    Attributes:
        agent: the agent.
        messages: the conversation so far.
        parameters: the OpenAI parameters that the client has set.
        client_tools: tools that the client runs itself.
        is_streamed: whether the client wants the answer as it arrives.
        loop: the signal of the loop that the agent runs in, if any.
        transcript: every message that the run adds to the conversation, each with the name of its agent.
        below_runs: runs of agents below whose answers are not in the transcript yet, each with the length that the
            transcript had when it began.
    """

    agent: AgentDefinition
    messages: Sequence[JsonObject]
    parameters: JsonObject
    client_tools: Sequence[JsonObject]
    is_streamed: bool
    loop: LoopSignal | None = None
    transcript: list[Said] = field(default_factory=list)
    below_runs: list[tuple[int, "AgentRun"]] = field(default_factory=list)

    @property
    def must_call_client(self) -> bool:
        """Whether the client wants a call of one of its own tools, whatever else the agent could call."""
        choice = self.parameters.get("tool_choice")
        own = {tool["function"]["name"] for tool in self.client_tools}
        return bool(own) and (choice == "required" or _named_in(choice) in own)

    def below(
        self, agent: AgentDefinition, messages: Sequence[JsonObject], *, loop: LoopSignal | None = None
    ) -> "AgentRun":
        """A run whose answer goes to another agent and not to the client."""
        below = AgentRun(
            agent=agent,
            messages=messages,
            parameters={name: value for name, value in self.parameters.items() if name in _FOR_ALL_AGENTS},
            client_tools=(),
            is_streamed=False,
            loop=loop or self.loop,
        )
        self.below_runs.append((len(self.transcript), below))
        return below

    def continued_by(self, agent: AgentDefinition, messages: Sequence[JsonObject]) -> "AgentRun":
        """The rest of this run, done by another agent whose answer is the answer of this run."""
        return replace(self, agent=agent, messages=messages)

    def say(self, text: str) -> JsonObject:
        """Add a text of the agent to the transcript, and return it as a message."""
        message: JsonObject = {"role": "assistant", "content": text}
        self.transcript.append((self.agent.name, message))
        return message

    def conclude(self, text: str) -> JsonObject:
        """Say the text that is made of the answers of all runs below."""
        self.below_runs.clear()
        return self.say(text)

    def everything_said(self) -> list[Said]:
        """What a run that was cut short leaves: its transcript, and what was said below and is not part of that."""
        said: list[Said] = []
        position = 0
        for begun_at, below in self.below_runs:
            said += [*self.transcript[position:begun_at], *below.everything_said()]
            position = begun_at
        return said + self.transcript[position:]


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to begin.

    Attributes:
        run: the run.
        first_body: the body of the model call that the run begins with; None if an agent below makes that call.
        perform: runs it, to its answer.
    """

    run: AgentRun
    first_body: JsonObject | None
    perform: Callable[[Say], Awaitable[Finished]]


# Runs an agent. Given to what runs agents below an agent, because `runner` imports those modules.
RunAgent = Callable[[AgentRun, Say], Awaitable[Finished]]
