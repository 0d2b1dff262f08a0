"""What a request has caused, as its page shows it: the way from its id to the turn and to the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from app.admin.sessions.queries import RequestedAction
from app.admin.sessions.session_addresses import session_path
from app.admin.sessions.turn_rows import EntryRow, TurnRows
from app.credits.references import is_of_embeddings, turn_reference

_STATES: Final = {
    "open": ("busy", "Running"),
    "settled": ("ok", "Charged"),
    "voided": ("off", "Cost nothing"),
}


@dataclass(frozen=True)
class EntryView:
    """A ledger entry: of a turn, or of a content that it has made."""

    reference: str
    what: str
    content_id: str | None
    amount: Decimal


@dataclass(frozen=True)
class RequestView:
    """A turn, embeddings, or an attempt of a generation that was not asked for in a turn of the same request.

    Attributes:
        session_path: where its turn is shown; None if it has no session any more.
        cost: what it has cost with everything that it has made.
    """

    name: str
    content_id: str | None
    turn_id: str | None
    session_path: str | None
    session_name: str | None
    user: str | None
    key_id: str | None
    key: str | None
    agent: str | None
    model: str | None
    began_at: datetime
    seconds: float | None
    state: tuple[str, str]
    cost: Decimal
    entries: Sequence[EntryView]


def request_views(actions: Sequence[RequestedAction], stored: TurnRows) -> list[RequestView]:
    """What the request has caused: its turns, each with what it has made, and attempts of no turn among them."""
    turns = {action.turn_id for action in actions if _is_turn(action)}
    shown = [action for action in actions if _is_turn(action) or action.turn_id not in turns]
    return [_view(action, stored) for action in shown]


def _is_turn(action: RequestedAction) -> bool:
    return action.turn_id is not None and action.reference == turn_reference(action.turn_id)


def _view(action: RequestedAction, stored: TurnRows) -> RequestView:
    is_turn = _is_turn(action)
    entries = [_entry_view(entry) for entry in stored.entries if _is_of(entry, action, is_turn=is_turn, stored=stored)]
    has_session = action.session_name is not None and action.user_id is not None
    return RequestView(
        name=_name_of(action),
        content_id=None if is_turn else _content_id(action.reference),
        turn_id=action.turn_id,
        session_path=session_path(action.session_name or "", action.user_id or "", turn=action.turn_id)
        if has_session
        else None,
        session_name=action.session_name,
        user=action.email,
        key_id=action.api_key_id,
        key=action.key_name,
        agent=action.agent,
        model=action.model,
        began_at=action.created_at,
        seconds=(action.ended_at - action.created_at).total_seconds() if action.ended_at else None,
        state=_STATES.get(action.state, ("look", action.state)),
        cost=-sum((entry.amount for entry in entries), Decimal(0)),
        entries=entries,
    )


def _name_of(action: RequestedAction) -> str:
    if _is_turn(action):
        return "Turn"
    return "Embeddings" if is_of_embeddings(action.reference) else "Attempt of a generation"


def _is_of(entry: EntryRow, action: RequestedAction, *, is_turn: bool, stored: TurnRows) -> bool:
    named = _hold_of(entry.reference)
    if _belongs(named, action.reference):
        return True
    made = [f"generation:{content.id}:" for content in stored.contents if content.turn_id == action.turn_id]
    return is_turn and named.startswith(tuple(made))


def _belongs(named: str, reference: str) -> bool:
    return named == reference or named.startswith(f"{reference}:")


def _hold_of(reference: str) -> str:
    kind, _, named = reference.partition(":")
    return named if kind in {"late", "superseded"} else reference


def _entry_view(entry: EntryRow) -> EntryView:
    content_id = _content_id(_hold_of(entry.reference))
    what = "Generation" if content_id else "Model calls"
    if entry.reference.startswith("late:"):
        what += ", charged late"
    if entry.reference.startswith("superseded:"):
        what += ", given back"
    return EntryView(entry.reference, what, content_id, entry.amount)


def _content_id(reference: str) -> str | None:
    kind, _, rest = reference.partition(":")
    return rest.partition(":")[0] if kind == "generation" else None
