"""Each check of a run finds the fault that it is for, and nothing if there is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.asked import Asked
from chaos.checks import (
    check_answers,
    check_ends,
    check_entries,
    check_failures,
    check_keys,
    check_predictions,
    check_requests,
    check_runs,
)
from chaos.plan import Request, Way
from chaos.stored import check_paths
from chaos.tables import StoredOutput
from tests.chaos.evidence import (
    CONTENT,
    INPUT,
    MARKER,
    MODEL,
    TURN,
    asked,
    charge,
    content,
    creation,
    delivery,
    grant,
    prediction,
    sent,
    vendor,
)

ASKED = Request(0.0, 7, 0, Way.WHOLE, "api-1", MODEL, INPUT["prompt"])
NAMING = replace(delivery(), contents=(CONTENT,))
WANTED = StoredOutput(CONTENT, 0, "generation/image/a.png", "0" * 64, is_wanted=True)


def test_a_request_that_was_never_answered_is_reported() -> None:
    assert check_requests(Asked(never_answered=[7]), [], [ASKED]) == ["request 7: never answered"]


def test_a_content_that_an_answer_names_exists_and_is_the_request_s() -> None:
    answered = asked([sent()], [NAMING])

    assert check_requests(answered, [content()], [ASKED]) == []
    assert check_requests(answered, [], [ASKED]) == [f"content {CONTENT}: named in an answer, but unknown"]
    assert check_requests(answered, [replace(content(), prompt="another")], [ASKED]) == [
        f"content {CONTENT}: has not the prompt of request {MARKER}"
    ]


def test_a_response_with_a_server_error_is_reported() -> None:
    assert check_answers({"whole: 200": 9, "whole: 503": 2, "whole: no response": 1}) == []
    assert check_answers({"whole: 200": 9, "retry: 500": 2}) == ["retry: 500: 2 times"]


def test_answers_to_one_key_that_differ_are_reported() -> None:
    stored = delivery(is_replayed=True)

    assert check_keys(asked([], [delivery(), stored, stored])) == []
    assert check_keys(asked([], [delivery(), delivery()])) == [f"chat {MARKER}: answered 2 times, not replayed"]
    assert check_keys(asked([], [delivery(), replace(stored, turn="turn:turn-2")])) == [
        f"chat {MARKER}: its answers differ"
    ]
    assert check_keys(asked([], [NAMING, stored])) == [f"chat {MARKER}: its answers differ"]


def test_a_content_that_has_not_ended_is_reported() -> None:
    assert check_ends([content("failed")]) == []
    assert check_ends([content("processing", attempt=1)]) == [f"content {CONTENT}, attempt 1: still processing"]


def test_an_entry_for_nothing_that_the_run_has_done_is_reported() -> None:
    assert check_entries([grant("1"), charge("1"), charge("1", TURN)]) == []
    assert check_entries([charge("1", "adjustment:1")]) == [
        "adjustment:1: an entry of -1 for nothing that the run has done"
    ]
    assert len(check_entries([replace(charge("1"), action=None)])) == 1


def test_two_runs_of_one_attempt_are_reported() -> None:
    twice = [prediction("first"), prediction("second")]

    told = check_runs(vendor(predictions=twice), [content()])

    assert f"content {CONTENT}, attempt 0: 2 predictions ran" in told
    retried = [prediction("first"), prediction("second", attempt=1)]
    assert check_runs(vendor(predictions=retried), [content(attempt=1)]) == []


def test_without_webhooks_more_runs_than_equal_attempts_are_reported() -> None:
    twice = vendor(predictions=[prediction("first", attempt=None), prediction("second", attempt=None)])

    assert check_runs(twice, [content(), replace(content(), id="another")]) == []
    [told] = check_runs(twice, [content(), replace(content(), id="another", input='{"prompt": "two towers"}')])
    assert "2 predictions ran for 1 attempts" in told


def test_each_sleep_of_a_worker_may_have_led_to_a_second_run() -> None:
    twice = vendor(predictions=[prediction("first"), prediction("second")])
    thrice = vendor(predictions=[prediction("first"), prediction("second"), prediction("third")])

    assert check_runs(twice, [content()], sleeps=1) == []
    assert check_runs(thrice, [content()], sleeps=1) != []


def test_a_second_run_that_was_cancelled_is_not_reported() -> None:
    predictions = [prediction("first"), prediction("second", status="canceled")]
    stopped = [{"id": "second", "status": "canceled"}]

    assert check_runs(vendor(predictions=predictions, cancels=stopped), [content()]) == []
    # The vendor cancels some runs by itself; without a cancel of ours, the second run still counts.
    assert check_runs(vendor(predictions=predictions), [content()]) != []


def test_a_cancel_that_came_too_late_does_not_count() -> None:
    predictions = [prediction("first"), prediction("second")]
    late = [{"id": "second", "status": "succeeded"}]

    assert check_runs(vendor(predictions=predictions, cancels=late), [content()]) != []


def test_a_prediction_that_still_runs_is_reported() -> None:
    running = vendor(predictions=[prediction("one", status="processing")])

    assert check_runs(running, [content()]) == ["prediction one: still processing"]


@pytest.mark.parametrize("attempt", [0, None])
def test_a_prediction_of_another_attempt_is_reported(attempt: int | None) -> None:
    seen = vendor(predictions=[prediction("one", attempt=attempt)])
    own = content(prediction_id="one")

    assert check_predictions(seen, [own]) == []
    assert len(check_predictions(seen, [replace(own, input='{"prompt": "another"}')])) == 1
    assert len(check_predictions(seen, [replace(own, model="simulator/text")])) == 1
    assert len(check_predictions(seen, [content(prediction_id="unknown")])) == 1
    # Only a webhook tells the attempts of one content apart.
    assert len(check_predictions(seen, [content(prediction_id="one", attempt=1)])) == (attempt is not None)


def test_a_failure_is_reported_unless_a_fault_made_it_unavoidable() -> None:
    failed = [content("failed", prediction_id="one")]

    assert check_failures(vendor(creations=[creation("slow", "delivery-404", prediction_id="one")]), failed) == []
    assert check_failures(vendor(creations=[creation("slow", "delivery-500", prediction_id="one")]), failed) == [
        f"content {CONTENT}, attempt 0: failed without a reason: It failed"
    ]
    # The fault of a prediction that the attempt does not have is no reason.
    assert len(check_failures(vendor(creations=[creation("fail", prediction_id="two")]), failed)) == 1


def test_missing_and_unwanted_files_in_the_store_are_reported(tmp_path: Path) -> None:
    stored = tmp_path / "generation/image/a.png"
    stored.parent.mkdir(parents=True)
    stored.touch()
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial/half").touch()
    assert check_paths(tmp_path, [WANTED]) == []

    stray = stored.with_name("b.png")
    stored.rename(stray)
    left = replace(WANTED, storage_path="generation/image/c.png", is_wanted=False)

    assert check_paths(tmp_path, [WANTED, left]) == [
        "generation/image/c.png: kept for an attempt that has not completed",
        "generation/image/b.png: belongs to nothing",
        "generation/image/a.png: missing in the store",
    ]
