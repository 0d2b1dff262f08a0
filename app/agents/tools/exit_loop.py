from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


class Signal(Protocol):
    """What ends a loop when it is set."""

    def set(self) -> None: ...


@dataclass(frozen=True)
class ExitLoop:
    """The way out of a loop of agents, offered to those that run in one."""

    name: ClassVar[str] = "exit_loop"
    signal: Signal

    @property
    def specification(self) -> dict[str, Any]:
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": "End the loop. Call it only when nothing is left to improve.",
                "parameters": {"type": "object", "properties": {}},
            },
        }

    async def run(self, arguments: dict[str, Any]) -> str:  # noqa: ARG002 - see ServerTool
        """End the loop once the agent has finished."""
        self.signal.set()
        return '{"ended":true}'
