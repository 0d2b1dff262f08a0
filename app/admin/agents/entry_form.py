"""The form of an agent: from an entry to what is typed, and back."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from app.admin.forms import Form
from app.agents.definition import (
    HIGHEST_TEMPERATURE,
    LONGEST_DESCRIPTION,
    LONGEST_INSTRUCTION,
    MOST_ITERATIONS,
    MOST_LLM_CALLS,
    MOST_TOKENS,
    AgentType,
)
from app.agents.entry import AgentEntry

# `order_critic` has the places at which the agent critic is called, such as `2` or `1, 3`.
ORDER: Final = "order_"
_PLACES: Final = re.compile(r"\d{1,3}(\s*,\s*\d{1,3})*")
_NOT_SAVED: Final = {
    "name": "Begin with a letter; then letters, digits, - and _, 64 characters at most.",
    "output_key": "Begin with a letter or _; then letters, digits and _, 64 characters at most.",
}


def form_of(entry: AgentEntry, version: int | None = None) -> Form:
    """The form that shows an agent, and the version of it that is changed."""
    shown: dict[str, Any] = entry.model_dump(exclude={"agent_type", "temperature", "is_active", "is_orchestrator"})
    values = {
        **shown,
        "agent_type": entry.agent_type.value,
        "temperature": None if entry.temperature is None else f"{Decimal(repr(entry.temperature)):f}",
        "version": version,
        "sub_agents": list(dict.fromkeys(entry.sub_agents)),
        **{ORDER + name: places_of(entry.sub_agents, name) for name in entry.sub_agents},
    }
    form = Form.of({name: value for name, value in values.items() if value is not None})
    for flag in ("is_active", "is_orchestrator"):
        if getattr(entry, flag):
            form.values[flag] = ["yes"]
    return form


def places_of(sub_agents: Sequence[str], name: str) -> str:
    """At which places an agent is called, counted from 1: usually one."""
    return ", ".join(str(number) for number, each in enumerate(sub_agents, start=1) if each == name)


def entry_from(form: Form, before: AgentEntry | None = None) -> AgentEntry | None:
    """The agent that the form describes; None if something in it is refused, which the form then says.

    Args:
        form: what was typed.
        before: the agent that is changed, whose name stays; None for a new one.
    """
    temperature = form.decimal(
        "temperature", least=Decimal(0), most=Decimal(int(HIGHEST_TEMPERATURE)), is_optional=True
    )
    values = {
        "name": before.name if before else form.text("name", most=64, label="A name"),
        "description": form.text("description", most=LONGEST_DESCRIPTION, is_optional=True),
        "agent_type": form.one_of("agent_type", [kind.value for kind in AgentType]),
        "instruction": _instruction_in(form),
        "model": form.text("model", is_optional=True) or None,
        "temperature": None if temperature is None else float(temperature),
        "max_output_tokens": form.whole("max_output_tokens", least=1, most=MOST_TOKENS, is_optional=True),
        "max_llm_calls": form.whole("max_llm_calls", least=1, most=MOST_LLM_CALLS),
        "max_iterations": form.whole("max_iterations", least=1, most=MOST_ITERATIONS),
        "max_history_tokens": form.whole("max_history_tokens", least=0, most=MOST_TOKENS),
        "tools": form.texts("tools"),
        "sub_agents": _sub_agents_in(form, before.sub_agents if before else ()),
        "output_key": form.text("output_key", is_optional=True) or None,
        "is_orchestrator": form.has("is_orchestrator") or bool(before and before.is_orchestrator),
        "is_active": form.has("is_active"),
    }
    return None if form.errors else _checked(form, values)


def _checked(form: Form, values: dict[str, Any]) -> AgentEntry | None:
    try:
        return AgentEntry.model_validate(values)
    except ValidationError as error:
        for each in error.errors():
            name = str(each["loc"][0])
            form.error(name, _NOT_SAVED.get(name, "This value is not one that the page offers."))
    return None


def _instruction_in(form: Form) -> str:
    """The instruction as it was typed, with the white space at its ends."""
    text = form.value("instruction")
    if "\0" in text:
        form.error("instruction", "A character in it cannot be stored. Type it again.")
    elif len(text) > LONGEST_INSTRUCTION:
        form.error("instruction", f"It has {len(text):,} characters. At most {LONGEST_INSTRUCTION:,} are allowed.")
    return text


def _sub_agents_in(form: Form, before: Sequence[str]) -> list[str]:
    """The agents that are ticked, or new and numbered, by their numbers; those without a number come last."""
    ticked = form.texts("sub_agents")
    numbered = [
        field.removeprefix(ORDER) for field in form.values if field.startswith(ORDER) and form.value(field).strip()
    ]
    wanted = dict.fromkeys([*ticked, *(name for name in numbered if name not in before)])
    places: list[tuple[int, str]] = []
    for name in wanted:
        typed = form.value(ORDER + name).strip()
        if typed and not _PLACES.fullmatch(typed):
            form.error("sub_agents", f"{name}: enter a number such as 2, or several such as 1, 3.")
            continue
        places += [(int(number), name) for number in typed.split(",")] if typed else [(1000, name)]
    # Sorting is stable: of two with the same number, the one that stands first in the form comes first.
    return [name for _, name in sorted(places, key=lambda place: place[0])]
