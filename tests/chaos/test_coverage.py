"""A run reports which faults it has exercised and which it has not."""

from chaos.coverage import measure
from chaos.striking import Blow
from tests.chaos.vendors import creation, vendor


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

    coverage = measure(seen, [Blow(1.0, "postgres"), Blow(2.0, "postgres")], frozenset())

    assert coverage.faults == {"slow": 2, "get-500": 1, "create-500": 1, "delivery-404": 1}
    assert coverage.strikes == {"postgres": 2}
    assert coverage.webhooks == {"heard": 1, "heard when repeated": 1, "refused": 1, "not reached": 2}


def test_a_fault_of_a_file_counts_only_if_the_file_is_requested() -> None:
    coverage = measure(vendor(creations=[creation("delivery-404", prediction_id="one")]), [], frozenset())

    assert coverage.faults == {}


def test_predictions_without_a_response_count_as_adopted_if_a_content_has_them() -> None:
    unanswered = [creation(prediction_id=name, status=None) for name in ("found", "lost")]
    seen = vendor(creations=[*unanswered, creation(prediction_id="reported"), creation("create-500", status=500)])

    coverage = measure(seen, [], frozenset({"found", "reported"}))

    assert (coverage.unanswered, coverage.adopted) == (2, 1)


def test_what_never_happened_is_reported() -> None:
    missing = measure(
        vendor(creations=[creation("slow", prediction_id="one")]), [Blow(1.0, "postgres")], frozenset()
    ).missing

    assert "fault: create-accept-then-drop" in missing
    assert "fault: slow" not in missing
    assert "strike: valkey" in missing
    assert "strike: postgres" not in missing
    assert "webhook: heard" in missing
    assert "adoption: an accepted prediction without an answer" in missing
