"""What happened during a run: a promise that was never put to the test is not proved."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chaos.asked import Asked
from chaos.plan import GENERATING, NAMED_FAULTS, TALKING, Plan
from chaos.strikes import kinds_of
from chaos.striking import Struck
from chaos.turn_charges import Verdict
from chaos.vendor import Entry, Vendor
from simulator.faults.draw import DRAWN
from simulator.faults.parsing import parse_prediction_faults

_AT_CREATION, _AFTER_CREATION, _AT_DELIVERY, _AT_WEBHOOK = "create-", "create-accept-", "delivery-", "webhook-"
_POSSIBLE = frozenset(
    fault.value for fault in parse_prediction_faults([*DRAWN, *(f"{fault}-1" for fault in NAMED_FAULTS)])
)
HEARD, REPEATED, REFUSED, NOT_REACHED = "heard", "heard when repeated", "refused", "not reached"
_POOR = ("chat", "tool")


@dataclass(frozen=True)
class Coverage:
    """How often each thing happened.

    Attributes:
        faults: The vendor's, by name. Those of reading a prediction are counted when they are drawn, although they do
            not happen if the prediction is then read in a list.
        strikes: By kind.
        webhooks: By how they were received.
        unanswered: Predictions that the vendor accepted without a response.
        adopted: Those of them that were found again and are the result of an attempt.
        twins: Those of the adopted that equal requests were made for.
        others: What else has to happen, by name.
        missing: What can happen in such a run and did not.
    """

    faults: Counter[str]
    strikes: Counter[str]
    webhooks: Counter[str]
    unanswered: int
    adopted: int
    twins: int
    others: Counter[str]
    missing: list[str] = field(default_factory=list)


def measure(
    plan: Plan, vendor: Vendor, struck: Sequence[Struck], asked: Asked, verdict: Verdict, results: Iterable[str | None]
) -> Coverage:
    """Count; `results` are the predictions that contents have in the end."""
    faults = Counter(fault for entry in vendor.creations for fault in entry["faults"] if _happened(fault, entry))
    # A fault of a file happens only if the file is fetched.
    faults.update(fault for entry in vendor.deliveries for fault in entry.get("faults", []))
    adopted = vendor.unanswered & frozenset(results)
    coverage = Coverage(
        faults=faults,
        strikes=Counter(str(blow.kind) for blow in struck),
        webhooks=Counter(_became_of(entry) for entry in vendor.webhooks),
        unanswered=len(vendor.unanswered),
        adopted=len(adopted),
        twins=len(adopted & _twins(vendor)),
        others=_others(asked, verdict),
    )
    coverage.missing.extend(_missing(plan, coverage))
    return coverage


def _others(asked: Asked, verdict: Verdict) -> Counter[str]:
    return Counter(
        {
            **{f"{way} answered": asked.answers[f"{way}: 200"] for way in (*GENERATING, *TALKING)},
            **{f"refused for want of credits, {way}": asked.poor[way] for way in _POOR},
            "replayed": sum(delivery.is_replayed for delivery in asked.delivered),
            "charged exactly": verdict.exact,
            "charged by an estimate": verdict.estimated,
            "repeated after a kill, charged once": verdict.superseded,
        }
    )


def _missing(plan: Plan, coverage: Coverage) -> list[str]:
    possible = {fault for fault in _POSSIBLE if plan.has_webhooks or not fault.startswith(_AT_WEBHOOK)}
    heard = {HEARD, REPEATED, REFUSED, NOT_REACHED} if plan.has_webhooks else set()
    found = {
        "fault": sorted(possible - coverage.faults.keys()),
        "strike": sorted({str(kind) for kind in kinds_of(plan.store, plan.seconds)} - coverage.strikes.keys()),
        "webhook": sorted(heard - coverage.webhooks.keys()),
        "adoption": [] if coverage.adopted else ["an accepted prediction without an answer"],
        "adoption among equals": [] if coverage.twins else ["one of several equal predictions without an answer"],
        "chat": [name for name, times in coverage.others.items() if not times],
    }
    return [f"{kind}: {name}" for kind, names in found.items() for name in names]


def _twins(vendor: Vendor) -> frozenset[str]:
    """The predictions whose model and input another one has too."""
    made = [(creation["id"], repr((creation["model"], creation["input"]))) for creation in vendor.creations]
    times = Counter(key for prediction_id, key in made if prediction_id)
    return frozenset(prediction_id for prediction_id, key in made if prediction_id and times[key] > 1)


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
