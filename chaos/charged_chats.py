"""All that belongs to one chat: what was sent and came back, its runs at the vendor, and what it was charged."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from chaos.asked import Asked, Delivery, Sent
from chaos.model_runs import ModelRun
from chaos.tables import LedgerEntry

_TURN = "turn:"


@dataclass
class ChargedChat:
    """Everything that has one marker. Only tries with the same Idempotency-Key share one.

    Attributes:
        marker: The marker.
        runs: What the vendor has run for it.
        charges: Credits by turn, less what was given back.
        organization_id: Who was charged.
        sent: The requests.
        delivered: The answers.
    """

    marker: str
    runs: list[ModelRun] = field(default_factory=list)
    charges: dict[str, Decimal] = field(default_factory=dict)
    organization_id: str = ""
    sent: list[Sent] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)

    @property
    def answered(self) -> set[str]:
        """The turns whose answer a client has received as a whole."""
        return {delivery.turn for delivery in self.delivered if delivery.is_complete}

    @property
    def failures(self) -> int:
        """How many requests were told to have failed."""
        return sum(sent.was_told_to_have_failed for sent in self.sent)

    def received(self, turn: str | None = None) -> int:
        """How many bytes of a turn's answer, or of any, a client has received."""
        return max((got.size for got in self.delivered if turn is None or got.turn == turn), default=0)


def collect_chats(
    runs: Sequence[ModelRun], entries: Sequence[LedgerEntry], markers: Mapping[str, str], asked: Asked
) -> tuple[list[ChargedChat], list[str]]:
    """Put everything together by its marker.

    Args:
        runs: What the vendor has run.
        entries: The ledger.
        markers: The marker in the stored messages of each turn, by its id.
        asked: What the clients have sent and received.

    Returns:
        The chats, and the turns that were charged although no client has sent them.
    """
    chats: dict[str, ChargedChat] = {}

    def chat(marker: str) -> ChargedChat:
        return chats.setdefault(marker, ChargedChat(marker))

    for run in runs:
        chat(run.marker).runs.append(run)
    for sent in asked.sent:
        chat(sent.marker).sent.append(sent)
    for delivery in asked.delivered:
        chat(delivery.marker).delivered.append(delivery)
    marker_of = {f"{_TURN}{turn_id}": marker for turn_id, marker in markers.items()}
    marker_of.update({delivery.turn: delivery.marker for delivery in asked.delivered})
    unknown = []
    for turn, changes in _by_turn(entries).items():
        charged = -sum((entry.amount for entry in changes), Decimal(0))
        marker = marker_of.get(turn) or next((entry.marker for entry in changes if entry.marker), None)
        if marker is None:
            unknown.append(turn)
        elif charged:
            chat(marker).charges[turn] = charged
            chat(marker).organization_id = changes[0].organization_id
    return list(chats.values()), unknown


def _by_turn(entries: Iterable[LedgerEntry]) -> Mapping[str, list[LedgerEntry]]:
    found: dict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in entries:
        if entry.action is not None and entry.action.startswith(_TURN):
            found[entry.action].append(entry)
    return found
