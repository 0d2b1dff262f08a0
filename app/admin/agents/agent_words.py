"""Agents, their settings and what has become of them, in the console's words."""

from collections.abc import Mapping
from typing import Any, Final

from app.agents.definition import AgentType

TYPE_WORDS: Final[Mapping[AgentType, str]] = {
    AgentType.LLM: "LLM",
    AgentType.SEQUENTIAL: "Sequential",
    AgentType.PARALLEL: "Parallel",
    AgentType.LOOP: "Loop",
}
TYPE_CHOICES: Final = (
    (AgentType.LLM.value, "LLM: thinks and uses tools"),
    (AgentType.SEQUENTIAL.value, "Sequential: sub-agents in order"),
    (AgentType.PARALLEL.value, "Parallel: sub-agents together"),
    (AgentType.LOOP.value, "Loop: repeats sub-agents"),
)
FIELD_WORDS: Final[Mapping[str, str]] = {
    "description": "Description",
    "agent_type": "Type",
    "instruction": "Instruction",
    "model": "Model",
    "temperature": "Temperature",
    "max_output_tokens": "Tokens an answer",
    "max_llm_calls": "Model calls a turn",
    "max_iterations": "Rounds",
    "max_history_tokens": "Tokens of history",
    "tools": "Tools",
    "sub_agents": "Sub-agents",
    "output_key": "Output key",
    "is_orchestrator": "Orchestrator",
    "is_active": "Active",
}
_UNSET: Final[Mapping[str, str]] = {
    "model": "the default",
    "temperature": "the model's own",
    "max_output_tokens": "the model's own",
}


def value_in_words(field: str, value: Any) -> str:
    """The value of a setting."""
    match value:
        case None | "":
            return _UNSET.get(field, "none")
        case AgentType():
            return TYPE_WORDS[value]
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or "none"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def clip(text: str, pixels: float, size: float = 13) -> str:
    """As much of the text as fits into the width in the console's typeface at that size, with an ellipsis if it is cut.

    Widths are guessed: who reads the page may have another typeface.
    """
    left = pixels / size
    for at, letter in enumerate(text):
        left -= _width(letter)
        if left < (0 if at == len(text) - 1 else 0.8):
            return text[:at].rstrip() + "…"
    return text


def _width(letter: str) -> float:
    """Of a letter, in ems."""
    if letter in "iljtfI.,:;|'!()[] ":
        return 0.34
    if letter in "mwMW@%":
        return 0.92
    if not letter.isascii():
        return 1.0
    return 0.68 if letter.isupper() else 0.6
