"""What has become of an agent, version by version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.admin.agents.agent_words import FIELD_WORDS, value_in_words
from app.agents.differences import Line, differences
from app.agents.entry import AgentEntry, stored_entry
from app.agents.models import AgentVersion, VersionEvent
from app.audit.actor import ActorKind

_EVENTS: Final = {
    VersionEvent.CREATED: "Created",
    VersionEvent.IMPORTED: "Imported",
    VersionEvent.CHANGED: "Changed",
    VersionEvent.DELETED: "Deleted",
    VersionEvent.FOUND: "Found so",
}
_NOBODY: Final = "No history was written: by an older version of the server, or in the database"


@dataclass(frozen=True)
class Alteration:
    """A setting that has changed, in words; `lines` says how, if it is a long text. `before` is "" of a new agent."""

    label: str
    before: str
    after: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class PastVersion:
    """A version of an agent.

    Attributes:
        number: counted from 1. None for what the agent is now without that anything has written it down.
        head: what has led to it.
        who: who did that.
        at: when.
        alterations: what differs from the version before; of the first one, what is no default.
        is_current: whether the agent is so now.
    """

    number: int | None
    head: str
    who: str
    at: datetime
    alterations: tuple[Alteration, ...]
    is_current: bool


def alterations_of(before: AgentEntry | None, after: AgentEntry) -> tuple[Alteration, ...]:
    """What differs between two versions, in words."""
    return tuple(
        Alteration(
            FIELD_WORDS[each.field],
            value_in_words(each.field, each.before) if before else "",
            value_in_words(each.field, each.after),
            each.lines,
        )
        for each in differences(before, after)
    )


def past_of(
    versions: Sequence[AgentVersion],
    now: AgentEntry,
    updated_at: datetime,
    emails: Mapping[str, str],
    *,
    is_newest: bool,
) -> list[PastVersion]:
    """Versions as the history shows them.

    Args:
        versions: newest first, and one more than is shown, if there is one before them.
        now: the agent as it is.
        updated_at: when it became so.
        emails: the addresses of those who made the versions, by their ids.
        is_newest: whether the first of the versions is the agent's last. If the agent differs from that, what it is
            now comes first, without a number.
    """
    past: list[PastVersion] = []
    last = stored_entry(versions[0].definition) if versions else None
    if is_newest and last != now:
        head = "Changed without a version" if last else "No version yet"
        past.append(PastVersion(None, head, _NOBODY, updated_at, alterations_of(last, now), is_current=True))
    for place, version in enumerate(versions):
        former = versions[place + 1] if place + 1 < len(versions) else None
        entry = stored_entry(version.definition)
        past.append(
            PastVersion(
                number=version.version,
                head=head_of(version),
                who=who_of(version, emails),
                at=version.created_at,
                alterations=alterations_of(stored_entry(former.definition) if former else None, entry),
                is_current=is_newest and place == 0 and last == now,
            )
        )
    return past


def head_of(version: AgentVersion) -> str:
    """What has led to a version."""
    if version.restored_from:
        return f"Version {version.restored_from} restored"
    return _EVENTS.get(VersionEvent(version.event), "Changed")


def who_of(version: AgentVersion, emails: Mapping[str, str]) -> str:
    """Who made a version."""
    if version.event == VersionEvent.FOUND:
        return _NOBODY
    if version.actor_kind == ActorKind.USER:
        return emails.get(version.actor_id or "", "A user who is gone")
    return "The command line" if version.actor_kind == ActorKind.COMMAND_LINE else "The server"


def summary_of(past: PastVersion) -> str:
    """A version in a line: its first alteration, or what has led to it."""
    first = past.alterations[0] if past.alterations else None
    if first is None or not first.before or past.head in {"Created", "Imported"}:
        return past.head
    more = f" and {len(past.alterations) - 1} more" if len(past.alterations) > 1 else ""
    if first.lines or len(first.before) + len(first.after) > 80:
        return f"{first.label}{more}"
    return f"{first.label}: {first.before} → {first.after}{more}"
