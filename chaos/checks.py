"""What must be true when everything has ended: each check returns a sentence for everything that is not."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from chaos.asked import Asked
from chaos.plan import Request
from chaos.tables import Content, LedgerEntry
from chaos.vendor import Vendor, attempt_of

_ENDED = ("completed", "failed")
_ENDED_AT_VENDOR = ("succeeded", "failed", "canceled", "aborted")
# After one of these the prediction has no usable output; everything else that the vendor does must be survived.
_FATAL = frozenset({"fail", "fail-transient-e1000", "aborted", "canceled", "data-removed", "delivery-404"})
_KNOWN_ACTIONS = ("turn:", "generation:", "chaos:")


def check_requests(asked: Asked, contents: Sequence[Content], requests: Sequence[Request]) -> list[str]:
    """Every request was answered, and what an answer names exists: its prompt is the request's."""
    known = {content.id: content for content in contents}
    prompts = {str(request.number): request.prompt for request in requests}
    lost = [
        f"content {content_id}: named in an answer, but unknown" for content_id in sorted(asked.contents - known.keys())
    ]
    mixed_up = [
        f"content {content_id}: has not the prompt of request {delivery.marker}"
        for delivery in asked.delivered
        for content_id in delivery.contents
        if content_id in known and known[content_id].prompt != prompts[delivery.marker.partition(".")[0]]
    ]
    return [*(f"request {number}: never answered" for number in asked.never_answered), *lost, *mixed_up]


def check_answers(answers: Mapping[str, int]) -> list[str]:
    """No response was a 500, whatever was away. Answers are counted by way and status."""
    return [f"{answer}: {count} times" for answer, count in answers.items() if answer.endswith(": 500")]


def check_keys(asked: Asked) -> list[str]:
    """All answers to one Idempotency-Key are the same: what comes after the first is a stored response."""
    violations = []
    for marker in sorted({delivery.marker for delivery in asked.delivered}):
        answers = [got for got in asked.delivered if got.marker == marker and got.is_complete]
        first = [got for got in answers if not got.is_replayed]
        if len(first) > 1:
            violations.append(f"chat {marker}: answered {len(first)} times, not replayed")
        if len({(got.turn, got.contents, got.size) for got in answers}) > 1:
            violations.append(f"chat {marker}: its answers differ")
    return violations


def check_ends(contents: Sequence[Content]) -> list[str]:
    """Every generation has ended."""
    return [
        f"content {content.id}, attempt {content.retry_count}: still {content.status}"
        for content in contents
        if content.status not in _ENDED
    ]


def check_entries(entries: Sequence[LedgerEntry]) -> list[str]:
    """The ledger holds grants of the run, charges of its chats and generations, and what was given back of them."""
    return [
        f"{entry.reference}: an entry of {entry.amount} for nothing that the run has done"
        for entry in entries
        if not (entry.action or "").startswith(_KNOWN_ACTIONS)
    ]


def check_runs(vendor: Vendor, contents: Sequence[Content], sleeps: int = 0) -> list[str]:
    """Nothing runs any more, and no more predictions were left running than there were attempts.

    With webhooks, that is so for each attempt; without, for all attempts with the same model and input. A worker that
    falls asleep just before it sends a create call may send it when another one has started the attempt. Nothing can
    prevent that; its prediction is cancelled, perhaps too late. It may happen once for each of so many `sleeps`.
    """
    running = [
        f"prediction {prediction['id']}: still {prediction['status']}"
        for prediction in vendor.predictions
        if prediction["status"] not in _ENDED_AT_VENDOR
    ]
    left = [prediction for prediction in vendor.predictions if prediction["id"] not in vendor.stopped]
    named = Counter(attempt for prediction in left if (attempt := attempt_of(prediction)))
    inputs = {creation["id"]: creation["input"] for creation in vendor.creations if creation["id"]}
    ran = Counter((prediction["model"], _canonical(inputs[prediction["id"]])) for prediction in left)
    allowed: Counter[tuple[str, str]] = Counter()
    for content in contents:
        allowed[content.model, _canonical(json.loads(content.input))] += 1 + content.retry_count
    surplus = [
        *(f"content {name}, attempt {number}: {n} predictions ran" for (name, number), n in named.items() if n > 1),
        *(
            f"{model} of {values}: {count} predictions ran for {allowed[model, values]} attempts"
            for (model, values), count in ran.items()
            if count > allowed[model, values]
        ),
    ]
    bought_twice = max((ran - allowed).total(), sum(n - 1 for n in named.values()))
    return [*running, *(surplus if bought_twice > sleeps else [])]


def check_predictions(vendor: Vendor, contents: Sequence[Content]) -> list[str]:
    """Each content has a prediction that was made for its last attempt, or, without webhooks, for an equal one."""
    made = {creation["id"]: creation for creation in vendor.creations if creation["id"]}
    violations = []
    for content in contents:
        if content.prediction_id is None:
            continue
        creation = made.get(content.prediction_id)
        is_equal = creation is not None and (creation["model"], _canonical(creation["input"])) == (
            content.model,
            _canonical(json.loads(content.input)),
        )
        named = attempt_of(creation) if creation is not None else None
        if not is_equal or named not in {None, (content.id, content.retry_count)}:
            violations.append(
                f"content {content.id}, attempt {content.retry_count}:"
                f" its prediction {content.prediction_id} belongs to another"
            )
    return violations


def check_failures(vendor: Vendor, contents: Sequence[Content]) -> list[str]:
    """Nothing has failed except for a fault of the vendor that nobody could have survived."""
    faults = vendor.faults
    return [
        f"content {content.id}, attempt {content.retry_count}: failed without a reason: {content.error_message}"
        for content in contents
        if content.status == "failed" and _FATAL.isdisjoint(faults.get(content.prediction_id or "", frozenset()))
    ]


def _canonical(values: object) -> str:
    return json.dumps(values, sort_keys=True)
