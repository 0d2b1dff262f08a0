"""A run reports what it has exercised and what it has not."""

from chaos.asked import Asked
from chaos.coverage import Coverage, measure
from chaos.plan import make_plan
from chaos.strikes import POSTGRES, WORKERS, Blow, Kind
from chaos.striking import Struck
from chaos.turn_charges import Verdict
from chaos.vendor import Vendor
from tests.chaos.evidence import MARKER, asked, creation, delivery, sent, vendor

STRUCK = [Struck(1.0, Kind(Blow.KILL, POSTGRES), 2.0), Struck(3.0, Kind(Blow.KILL, POSTGRES), 3.5)]


def measured(
    seen: Vendor, results: frozenset[str] = frozenset(), *, seed: int = 4, seen_by_clients: Asked | None = None
) -> Coverage:
    plan = make_plan(seed, generations=10, seconds=30)
    return measure(plan, seen, STRUCK, seen_by_clients or Asked(), Verdict(), results)


def test_what_happened_is_counted() -> None:
    seen = vendor(
        creations=[
            creation("slow", prediction_id="one"),
            creation("slow", "get-500", prediction_id="two"),
            creation("create-500", "webhook-lost", status=500),
        ],
        deliveries=[{"faults": ["delivery-404"]}, {"faults": []}, {}],
        webhooks=[
            {"outcome": 204, "attempt": 1},
            {"outcome": 204, "attempt": 2},
            {"outcome": 401, "attempt": 1},
            {"outcome": "ClientConnectorError", "attempt": 1},
            {"attempt": 1},
        ],
    )

    coverage = measured(seen)

    assert coverage.faults == {"slow": 2, "get-500": 1, "create-500": 1, "delivery-404": 1}
    assert coverage.strikes == {"kill postgres": 2}
    assert coverage.webhooks == {"heard": 1, "heard when repeated": 1, "refused": 1, "not reached": 2}


def test_a_fault_of_a_file_counts_only_if_the_file_is_requested() -> None:
    assert measured(vendor(creations=[creation("delivery-404", prediction_id="one")])).faults == {}


def test_predictions_without_a_response_count_as_adopted_if_a_content_has_them() -> None:
    unanswered = [creation(prediction_id=name, status=None) for name in ("found", "lost")]
    seen = vendor(creations=[*unanswered, creation(prediction_id="reported"), creation("create-500", status=500)])

    coverage = measured(seen, frozenset({"found", "reported"}))

    assert (coverage.unanswered, coverage.adopted, coverage.twins) == (2, 1, 1)


def test_an_adopted_prediction_has_twins_only_if_others_are_equal() -> None:
    alone = vendor(creations=[creation(prediction_id="found", status=None)])

    assert measured(alone, frozenset({"found"})).twins == 0


def test_what_never_happened_is_reported() -> None:
    missing = measured(vendor(creations=[creation("slow", prediction_id="one")])).missing

    assert "fault: create-accept-then-drop" in missing
    assert "fault: slow" not in missing
    assert f"strike: sleep {WORKERS[0]}" in missing
    assert "strike: kill postgres" not in missing
    assert "webhook: heard" in missing
    assert "adoption: an accepted prediction without an answer" in missing
    assert "adoption among equals: one of several equal predictions without an answer" in missing
    assert "chat: refused for want of credits, tool" in missing
    assert "chat: replayed" in missing


def test_webhooks_are_not_missed_in_a_run_without_them() -> None:
    missing = measured(vendor(), seed=5).missing

    assert not any("webhook" in name for name in missing)


def test_chats_are_counted_by_how_they_were_asked() -> None:
    seen = asked([sent()], [delivery(MARKER, is_replayed=True)])
    seen.count("keyed", 200)
    seen.poor["chat"] += 1

    others = measured(vendor(), seen_by_clients=seen).others

    assert (others["keyed answered"], others["replayed"], others["refused for want of credits, chat"]) == (1, 1, 1)
