from pathlib import Path

_TAIL_LINES = 20
_TAIL_BYTES = 16_384


class StackError(Exception):
    """An error that the operator can do something about; its text is shown as it is, without a traceback."""


class StartupError(StackError):
    """A program ended, or did not become ready, while everything was starting."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        """Compose the text from what happened and the last lines of the program's log."""
        super().__init__(f"{name} {reason}. The end of {log}:\n\n{last_lines(log)}")


def last_lines(log: Path) -> str:
    """The last lines of a log, indented; or a note that there are none."""
    content = log.read_bytes()[-_TAIL_BYTES:] if log.exists() else b""
    lines = content.decode(errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines or ["(empty)"])
