"""A chat that is charged otherwise than by the vendor's log, not at all or for nothing is reported."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos.asked import Delivery, Sent
from chaos.charged_chats import collect_chats
from chaos.model_runs import runs_of
from chaos.prices import CUT_MODEL, SILENT_MODEL
from chaos.strikes import Blow, Kind
from chaos.striking import Struck
from chaos.tables import LedgerEntry
from chaos.turn_charges import Verdict, check_losses, check_turns
from tests.chaos.evidence import MARKER, TURN, asked, charge, chat, delivery, sent

# 0.000107 + 1000 * 0.00000137 + 100 * 0.00000291
COST = "0.001768"
TWICE = "0.003536"
OTHER = "turn:turn-2"
KILLED = [Struck(10.5, Kind(Blow.KILL, "api-1"), 12.0)]
TWO_CALLS = [chat(calls=["call_1"]), chat(results=["call_1"])]


def check(
    chats: Sequence[dict[str, Any]],
    entries: Sequence[LedgerEntry],
    requests: Sequence[Sent] = (sent(),),
    answers: Sequence[Delivery] = (delivery(),),
    *,
    struck: Sequence[Struck] = (),
    markers: dict[str, str] | None = None,
) -> Verdict:
    collected, unknown = collect_chats(runs_of(chats), entries, markers or {}, asked(requests, answers))
    assert unknown == []
    return check_turns(collected, struck)


def test_the_right_charge_is_accepted() -> None:
    verdict = check([chat()], [charge(COST, TURN)])

    assert (verdict.violations, verdict.exact) == ([], 1)


def test_the_calls_of_one_turn_are_charged_together() -> None:
    assert check(TWO_CALLS, [charge(TWICE, TURN)]).violations == []
    assert len(check(TWO_CALLS, [charge(COST, TURN)]).violations) == 1


@pytest.mark.parametrize("charged", ["0.001767", "0.001769", "0.003536"])
def test_another_charge_is_reported(charged: str) -> None:
    [told] = check([chat()], [charge(charged, TURN)]).violations

    assert f"charged {TURN} {charged}; by the vendor's log its model calls cost {COST} to {COST}" in told


def test_an_answer_that_was_never_charged_is_reported() -> None:
    told = check([chat()], []).violations

    assert f"chat {MARKER}: {TURN} was answered and never charged" in told


def test_finished_model_calls_that_were_never_charged_are_reported_although_no_answer_came() -> None:
    [told] = check([chat()], [], [sent(status=503)], []).violations

    assert f"model calls for {COST} to {COST} were never charged" in told


def test_a_charge_for_a_chat_that_nobody_has_sent_is_reported() -> None:
    _, unknown = collect_chats([], [charge(COST, TURN)], {}, asked([], []))

    assert unknown == [TURN]


def test_a_charge_without_a_model_call_is_reported() -> None:
    [told] = check([], [charge(COST, TURN)]).violations

    assert "its model calls cost nothing" in told


def test_a_turn_is_known_by_its_stored_messages_or_its_request_id() -> None:
    stored = check([chat()], [charge(COST, TURN)], answers=[], markers={"turn-1": MARKER})
    recorded = check([chat()], [charge(COST, TURN, marker=MARKER)], answers=[])

    assert (stored.violations, recorded.violations) == ([], [])


def test_one_call_may_be_lost_if_its_process_was_killed() -> None:
    unanswered = [sent(status=None)]

    verdict = check([chat()], [], unanswered, [], struck=KILLED)
    assert (verdict.violations, verdict.lost) == ([], 1)
    # The first call was recorded before the second one was made.
    verdict = check(TWO_CALLS, [charge(COST, TURN, marker=MARKER)], unanswered, [], struck=KILLED)
    assert (verdict.violations, verdict.lost) == ([], 1)
    assert len(check(TWO_CALLS, [], unanswered, [], struck=KILLED).violations) == 1


@pytest.mark.parametrize(
    ("status", "struck"), [(504, []), (None, [Struck(9.0, Kind(Blow.SLEEP, "api-1"), 30.0)])], ids=["limit", "sleep"]
)
def test_the_last_call_may_be_free_if_its_turn_did_not_wait_for_it(status: int | None, struck: list[Struck]) -> None:
    unanswered = [sent(status=status)]

    verdict = check([chat()], [], unanswered, [], struck=struck)
    assert (verdict.violations, verdict.unread, verdict.lost) == ([], 1, 0)
    verdict = check(TWO_CALLS, [charge(COST, TURN, marker=MARKER)], unanswered, [], struck=struck)
    assert (verdict.violations, verdict.unread) == ([], 1)
    assert len(check(TWO_CALLS, [], unanswered, [], struck=struck).violations) == 1


def test_an_answer_that_did_not_arrive_as_a_whole_may_be_an_estimate() -> None:
    """The vendor had sent all of it, with its usage; the client had left before the server read that."""
    partly = [replace(delivery(), is_complete=False)]
    estimate = str(runs_of([chat()])[0].cost(1, partly[0].size, is_cut=True).least)

    verdict = check([chat()], [charge(estimate, TURN)], answers=partly)
    assert (verdict.violations, verdict.exact, verdict.estimated) == ([], 0, 1)
    assert len(check([chat()], [charge(estimate, TURN)]).violations) == 1


def test_no_call_may_be_lost_if_another_process_was_killed() -> None:
    assert len(check([chat()], [], [sent(api="api-2", status=None)], [], struck=KILLED).violations) == 1


def test_an_answer_that_was_delivered_is_charged_whole_although_its_process_was_killed() -> None:
    assert len(check(TWO_CALLS, [charge(COST, TURN)], struck=KILLED).violations) == 1


def test_of_a_request_that_ran_twice_under_one_key_one_run_is_charged() -> None:
    runs = [chat(), chat()]
    requests = [sent(status=None), sent(api="api-2")]

    verdict = check(runs, [charge(COST, TURN)], requests, struck=KILLED)
    assert (verdict.violations, verdict.superseded) == ([], 1)
    [told] = check(runs, [charge(COST, TURN), charge(COST, OTHER, marker=MARKER)], requests, struck=KILLED).violations
    assert told == f"chat {MARKER}: 2 turns were charged, 0 requests had failed"


def test_a_charge_that_was_given_back_does_not_count() -> None:
    entries = [
        charge(COST, OTHER, marker=MARKER),
        charge(f"-{COST}", OTHER, reference=f"superseded:{OTHER}"),
        charge(COST, TURN),
    ]

    assert check([chat(), chat()], entries, [sent(status=None), sent()]).violations == []


def test_two_answers_to_one_request_are_reported() -> None:
    entries = [charge(COST, TURN), charge(COST, OTHER)]

    told = check([chat(), chat()], entries, [sent(), sent(status=503)], [delivery(), delivery(OTHER)]).violations

    assert told == [f"chat {MARKER}: 2 turns have answered it"]


def test_a_cut_answer_is_charged_by_what_was_delivered() -> None:
    cut = [chat(model=CUT_MODEL, usage=(10, 100), outcome="cut", sent_bytes=60)]
    partly = [delivery(is_complete=False, size=40)]

    # At least 10 tokens of 40 bytes; at most 15 of 60, and the prompt's length as JSON.
    assert check(cut, [charge("0.000060", TURN)], answers=partly).estimated == 1
    assert check(cut, [charge("0.000060", TURN)], answers=partly).violations == []
    assert len(check(cut, [charge("0.000059", TURN)], answers=partly).violations) == 1
    assert len(check(cut, [charge("0.000200", TURN)], answers=partly).violations) == 1
    assert check(cut, [], answers=[]).violations == []


def test_an_answer_without_usage_is_charged_by_its_length() -> None:
    silent = [chat(model=SILENT_MODEL, usage=(10, 100), sent_bytes=400)]

    assert check(silent, [charge("0.000572", TURN)]).violations == []
    assert len(check(silent, [charge("0.000571", TURN)]).violations) == 1


def test_what_is_due_is_added_up_by_organization() -> None:
    verdict = check([chat(), chat("8.1")], [charge(COST, TURN), charge(COST, OTHER, marker="8.1")])

    [due] = verdict.due.values()
    assert (str(due.least), str(due.most)) == (TWICE, TWICE)


def test_losses_that_no_hold_knows_of_are_reported() -> None:
    assert check_losses(Verdict(lost=2), 2) == []
    assert check_losses(Verdict(lost=3), 2) == ["3 model calls were lost in crashes, 2 are known to the holds"]
