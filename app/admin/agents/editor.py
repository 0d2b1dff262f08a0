"""What the page of an agent offers: models, tools, sub-agents and why some cannot be chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from app.admin.agents.entry_form import ORDER
from app.admin.agents.past import Alteration
from app.admin.agents.placeholders import Placeholder, output_keys, placeholders_of
from app.admin.agents.queries import ChatModel
from app.admin.forms import Form
from app.agents.changes import Entries, in_words, way_to
from app.agents.entry import AgentEntry
from app.agents.tools.registry import TOOL_SUMMARIES

_GONE: Final = "There is no such tool any more: untick it"


@dataclass(frozen=True)
class ToolChoice:
    """A tool that may be ticked."""

    name: str
    summary: str
    is_ticked: bool


@dataclass(frozen=True)
class SubAgentChoice:
    """An agent that may be ticked. `circle` says why not, if it would close a circle."""

    name: str
    description: str
    is_ticked: bool
    places: str
    circle: str


@dataclass(frozen=True)
class Missed:
    """What somebody else has changed while the form was open."""

    who: str
    version: int
    alterations: tuple[Alteration, ...]


@dataclass(frozen=True)
class Choices:
    """What the form of an agent offers. `known_keys` are other agents' output keys, with the agents' names."""

    models: tuple[tuple[str, str], ...]
    tools: tuple[ToolChoice, ...]
    sub_agents: tuple[SubAgentChoice, ...]
    placeholders: tuple[Placeholder, ...]
    known_keys: tuple[tuple[str, tuple[str, ...]], ...]


def choices_of(
    form: Form, name: str | None, entries: Entries, models: Sequence[ChatModel], default_model: str
) -> Choices:
    """What the form of an agent offers.

    Args:
        form: what was typed so far.
        name: the agent's name; None for a new one.
        entries: all agents of the organization.
        models: the chat models of the catalog.
        default_model: the model of agents that have none of their own.
    """
    keys = output_keys({other: entry for other, entry in entries.items() if other != name})
    return Choices(
        models=_models(form.value("model"), models, default_model),
        tools=_tools(form),
        sub_agents=tuple(_sub_agent(form, name, entry, entries) for entry in _ticked_first(form, name, entries)),
        placeholders=tuple(placeholders_of(form.value("instruction"), keys)),
        known_keys=tuple(sorted(keys.items())),
    )


def _models(chosen: str, models: Sequence[ChatModel], default_model: str) -> tuple[tuple[str, str], ...]:
    offered = [(model.name, f"{model.name} · {_price(model.prompt)} / {_price(model.completion)}") for model in models]
    if chosen and chosen not in dict(offered):
        offered.append((chosen, f"{chosen} · not in the catalog, or without a price"))
    return (("", f"The server's default: {default_model}"), *offered)


def _price(amount: Decimal) -> str:
    """At least two decimals, and as many as there are."""
    text = f"{amount:,.6f}".rstrip("0")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


def _tools(form: Form) -> tuple[ToolChoice, ...]:
    ticked = form.texts("tools")
    gone = {name: _GONE for name in ticked if name not in TOOL_SUMMARIES}
    return tuple(ToolChoice(name, summary, name in ticked) for name, summary in {**TOOL_SUMMARIES, **gone}.items())


def _ticked_first(form: Form, name: str | None, entries: Entries) -> list[AgentEntry]:
    """The agents that may be sub-agents: those that are, in their order, then the others by name."""
    ticked = [each for each in form.texts("sub_agents") if each in entries]
    return [entries[each] for each in dict.fromkeys([*ticked, *sorted(entries)]) if each != name]


def _sub_agent(form: Form, name: str | None, entry: AgentEntry, entries: Entries) -> SubAgentChoice:
    is_ticked = form.has("sub_agents", entry.name)
    way = way_to(entries, entry.name, name) if name else []
    circle = in_words([name, *way]) if name and way and not is_ticked else ""
    return SubAgentChoice(entry.name, entry.description, is_ticked, form.value(ORDER + entry.name), circle)
