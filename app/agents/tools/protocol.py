from typing import Any, Protocol


class ServerTool(Protocol):
    """A tool that runs on the server, bound to one turn."""

    @property
    def name(self) -> str: ...

    @property
    def specification(self) -> dict[str, Any]:
        """The tool as OpenAI's `tools` parameter describes it."""
        ...

    async def run(self, arguments: dict[str, Any]) -> str:
        """Run it and say what the model is to read. What goes wrong is said, not raised."""
        ...
