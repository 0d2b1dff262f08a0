"""What happened during a run: a promise that was never put to the test is not proved."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chaos.plan import NAMED_FAULTS, VICTIM_WEIGHTS
from chaos.striking import Blow
from chaos.vendor import Entry, Vendor
from simulator.faults.draw import DRAWN
from simulator.faults.parsing import parse_prediction_faults

_AT_CREATION, _AFTER_CREATION, _AT_DELIVERY = "create-", "create-accept-", "delivery-"
_POSSIBLE = frozenset(
    fault.value for fault in parse_prediction_faults([*DRAWN, *(f"{fault}-1" for fault in NAMED_FAULTS)])
)
HEARD, REPEATED, REFUSED, NOT_REACHED = "heard", "heard when repeated", "refused", "not reached"


@dataclass(frozen=True)
class Coverage:
    """How often each thing happened.

    Attributes:
        faults: The vendor's, by name. Those of reading a prediction are counted when they are drawn, although they do
            not happen if the prediction is then read in a list.
        strikes: By victim.
        webhooks: By how they were received.
        unanswered: Predictions that the vendor accepted without a response.
        adopted: Those of them that were found again and are the result of an attempt.
    """

    faults: Counter[str]
    strikes: Counter[str]
    webhooks: Counter[str]
    unanswered: int
    adopted: int

    @property
    def missing(self) -> list[str]:
        """What can happen in a run and did not."""
        found = {
            "fault": sorted(_POSSIBLE - self.faults.keys()),
            "strike": sorted(VICTIM_WEIGHTS.keys() - self.strikes.keys()),
            "webhook": sorted({HEARD, REPEATED, REFUSED, NOT_REACHED} - self.webhooks.keys()),
            "adoption": [] if self.adopted else ["an accepted prediction without an answer"],
        }
        return [f"{kind}: {name}" for kind, names in found.items() for name in names]


def measure(vendor: Vendor, blows: Sequence[Blow], results: frozenset[str]) -> Coverage:
    """Count; `results` are the predictions that contents have in the end."""
    faults = Counter(fault for entry in vendor.creations for fault in entry["faults"] if _happened(fault, entry))
    # A fault of a file happens only if the file is fetched.
    faults.update(fault for entry in vendor.deliveries for fault in entry.get("faults", []))
    return Coverage(
        faults=faults,
        strikes=Counter(blow.victim for blow in blows),
        webhooks=Counter(_became_of(entry) for entry in vendor.webhooks),
        unanswered=len(vendor.unanswered),
        adopted=len(vendor.unanswered & results),
    )


def _happened(fault: str, creation: Entry) -> bool:
    """Whether a fault happened: if a creation was refused, only the refusal did."""
    if fault.startswith(_AT_DELIVERY):
        return False
    is_refusal = fault.startswith(_AT_CREATION) and not fault.startswith(_AFTER_CREATION)
    return is_refusal == (creation["id"] is None)


def _became_of(webhook: Entry) -> str:
    outcome = webhook.get("outcome")
    if not isinstance(outcome, int):
        return NOT_REACHED
    if outcome >= 300:
        return REFUSED
    return REPEATED if webhook["attempt"] > 1 else HEARD
