"""Each check of a run finds the fault that it is for, and nothing if there is none."""

from pathlib import Path

from chaos.checks import check_answers, check_ends, check_failures, check_predictions, check_requests, check_runs
from chaos.plan import make_plan
from chaos.stored import check_paths
from tests.chaos.vendors import CONTENT, content, creation, prediction, vendor

WANTED = {"storage_path": "generation/image/a.png", "is_wanted": True}


def test_a_request_without_a_result_is_reported() -> None:
    first, second, third = make_plan(1, generations=3, seconds=1).requests

    assert check_requests([{"prompt": request.prompt} for request in (first, second, third)], [first], []) == []
    assert check_requests([{"prompt": first.prompt}], [first, second, third], [third]) == [
        "request 2: never accepted",
        f"request 1, by {second.way}: no content",
    ]


def test_a_response_with_a_server_error_is_reported() -> None:
    assert check_answers({"chat: 200": 9, "chat: 503": 2, "chat: no answer": 1}) == []
    assert check_answers({"chat: 200": 9, "retry: 500": 2}) == ["retry: 500: 2 times"]


def test_an_accepted_content_that_is_no_longer_known_is_reported() -> None:
    assert check_ends([content("completed")], [CONTENT]) == []
    assert check_ends([], [CONTENT]) == [f"content {CONTENT}: accepted, but no longer known"]


def test_a_content_that_has_not_ended_is_reported() -> None:
    assert check_ends([content("failed")], []) == []
    assert check_ends([content("processing", attempt=1)], []) == [f"content {CONTENT}, attempt 1: still processing"]


def test_two_runs_of_one_attempt_are_reported() -> None:
    twice = [prediction("first"), prediction("second")]

    assert check_runs(vendor(predictions=twice)) == [f"content {CONTENT}, attempt 0: 2 predictions ran"]
    assert check_runs(vendor(predictions=[prediction("first"), prediction("second", attempt=1)])) == []


def test_a_second_run_that_was_cancelled_is_not_reported() -> None:
    predictions = [prediction("first"), prediction("second", status="canceled")]

    assert check_runs(vendor(predictions=predictions, cancels=[{"id": "second", "status": "canceled"}])) == []
    # The vendor cancels some runs by itself; without a cancel of ours, the second run still counts.
    assert len(check_runs(vendor(predictions=predictions))) == 1


def test_a_cancel_that_came_too_late_does_not_count() -> None:
    predictions = [prediction("first"), prediction("second")]

    assert len(check_runs(vendor(predictions=predictions, cancels=[{"id": "second", "status": "succeeded"}]))) == 1


def test_a_prediction_that_still_runs_is_reported() -> None:
    running = vendor(predictions=[prediction("one", status="processing")])

    assert check_runs(running) == ["prediction one: still processing"]


def test_a_prediction_of_another_attempt_is_reported() -> None:
    seen = vendor(predictions=[prediction("one", attempt=0)])

    assert check_predictions(seen, [content("completed", prediction_id="one", attempt=0)]) == []
    assert len(check_predictions(seen, [content("completed", prediction_id="one", attempt=1)])) == 1
    assert len(check_predictions(seen, [content("completed", prediction_id="unknown")])) == 1


def test_a_failure_is_reported_unless_a_fault_made_it_unavoidable() -> None:
    failed = [content("failed", prediction_id="one")]

    assert check_failures(vendor(creations=[creation("slow", "delivery-404")]), failed) == []
    assert check_failures(vendor(creations=[creation("slow", "delivery-500")]), failed) == [
        f"content {CONTENT}, attempt 0: failed without a reason: It failed"
    ]


def test_missing_and_unwanted_files_in_the_store_are_reported(tmp_path: Path) -> None:
    stored = tmp_path / "generation/image/a.png"
    stored.parent.mkdir(parents=True)
    stored.touch()
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial/half").touch()
    assert check_paths(tmp_path, [WANTED]) == []

    stray = stored.with_name("b.png")
    stored.rename(stray)
    left = {"storage_path": "generation/image/c.png", "is_wanted": False}

    assert check_paths(tmp_path, [WANTED, left]) == [
        "generation/image/c.png: kept for an attempt that failed",
        "generation/image/b.png: belongs to nothing",
        "generation/image/a.png: missing in the store",
    ]
