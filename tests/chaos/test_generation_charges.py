"""A content that is charged otherwise than by what the vendor has made for it is reported."""

from decimal import Decimal

import pytest

from chaos.generation_charges import check_generations, cost_of
from tests.chaos.evidence import CONTENT, charge, content, prediction, vendor

# 0.002 + 0.3 s * 0.0137 + 2 * 0.011
COST = "0.028110"
SEEN = vendor(predictions=[prediction("one", files=2)])
DONE = content(prediction_id="one", cost=COST)


def test_the_cost_is_computed_from_what_the_vendor_made() -> None:
    assert cost_of(prediction("one", files=2)) == Decimal(COST)
    assert cost_of(prediction("one", files=0)) == Decimal("0.017110")  # text is one file


def test_a_file_that_is_named_twice_is_one_file() -> None:
    twice = {**prediction("one"), "output": {"image": "http://a/b", "images": ["http://a/b"]}}

    assert cost_of(twice) == Decimal("0.017110")


def test_the_right_charge_is_accepted() -> None:
    assert check_generations(SEEN, [DONE], [charge(COST)]) == []


@pytest.mark.parametrize(
    "charged",
    [
        "0.039110",  # one output too many
        "0.028111",  # a millionth too much
        "0.028109",
        "0.017110",  # one output too few
    ],
)
def test_another_charge_is_reported(charged: str) -> None:
    [told] = check_generations(SEEN, [DONE], [charge(charged)])

    assert told == f"content {CONTENT}, attempt 0: charged {charged}; what the vendor made costs {COST}"


def test_a_content_without_a_charge_is_reported() -> None:
    [told] = check_generations(SEEN, [DONE], [])

    assert "charged nothing" in told


def test_a_second_charge_is_reported() -> None:
    [told] = check_generations(SEEN, [DONE], [charge(COST), charge(COST, reference="another")])

    assert f"charged {COST}, {COST}" in told


def test_a_charge_for_a_failed_content_is_reported() -> None:
    [told] = check_generations(SEEN, [content("failed", prediction_id="one")], [charge(COST)])

    assert told.startswith(f"generation:{CONTENT}:0: charged")


def test_a_charge_for_an_attempt_before_the_last_is_reported() -> None:
    retried = content(prediction_id="one", attempt=1, cost=COST)
    entries = [charge(COST), charge(COST, f"generation:{CONTENT}:1")]

    [told] = check_generations(SEEN, [retried], entries)

    assert told.startswith(f"generation:{CONTENT}:0: charged")


def test_a_content_that_the_vendor_made_nothing_for_is_reported() -> None:
    [told] = check_generations(vendor(), [DONE], [charge(COST)])

    assert "the vendor has made nothing for it" in told


def test_a_cost_that_is_shown_and_was_not_charged_is_reported() -> None:
    [told] = check_generations(SEEN, [content(prediction_id="one", cost="0.028111")], [charge(COST)])

    assert "shows a cost of 0.028111" in told
