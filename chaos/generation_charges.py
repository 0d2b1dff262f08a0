"""Every completed content is charged once, by what the vendor has made for it, and nothing else is charged."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from chaos.prices import generation_price
from chaos.tables import Content, LedgerEntry
from chaos.vendor import Entry, Vendor, files_of, predict_time_of

_GENERATION = "generation:"
_COMPLETED = "completed"


def cost_of(prediction: Entry) -> Decimal:
    """What a prediction costs its organization, if it completes a content."""
    outputs = len(files_of(prediction["output"])) or 1
    return generation_price(prediction["model"]).cost(predict_time_of(prediction), outputs)


def check_generations(vendor: Vendor, contents: Sequence[Content], entries: Sequence[LedgerEntry]) -> list[str]:
    """Compare the charges of all generations with what the vendor has made."""
    predictions = {prediction["id"]: prediction for prediction in vendor.predictions}
    charges: dict[str, list[Decimal]] = defaultdict(list)
    for entry in entries:
        if entry.action is not None and entry.action.startswith(_GENERATION):
            charges[entry.action].append(-entry.amount)
    violations: list[str] = []
    for content in contents:
        if content.status == _COMPLETED:
            reference = f"{_GENERATION}{content.id}:{content.retry_count}"
            prediction = predictions.get(content.prediction_id or "")
            violations += _check(content, charges.pop(reference, []), prediction)
    return violations + [
        f"{reference}: charged {amounts}, and nothing was made" for reference, amounts in charges.items()
    ]


def _check(content: Content, charged: Sequence[Decimal], prediction: Entry | None) -> list[str]:
    name = f"content {content.id}, attempt {content.retry_count}"
    if prediction is None:
        return [f"{name}: completed, but the vendor has made nothing for it"]
    expected = cost_of(prediction)
    violations = []
    if list(charged) != [expected]:
        told = ", ".join(map(str, charged)) or "nothing"
        violations.append(f"{name}: charged {told}; what the vendor made costs {expected}")
    if content.credit_cost != expected:
        violations.append(f"{name}: shows a cost of {content.credit_cost} instead of {expected}")
    return violations
