"""Models that know less of the protocol than OpenAI's, and those that report their usage in their own way."""

import json
from typing import Any

import httpx
import pytest

from tests.simulator.server import RunningSimulator
from tests.simulator.test_chat_faults import post


def reports(response: httpx.Response) -> list[tuple[int, int]]:
    """Prompt and completion of each report in a stream."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: {")]
    usages = [chunk["usage"] for chunk in map(json.loads, lines) if chunk["usage"]]
    return [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages]


@pytest.mark.parametrize(
    ("suffix", "status", "code"),
    [
        ("no-max-tokens", 400, "unsupported_parameter"),
        ("no-max-completion-tokens", 422, "extra_forbidden"),
        ("no-stream-options", 422, "extra_forbidden"),
        ("context-10", 400, "context_length_exceeded"),
    ],
)
def test_a_parameter_that_the_model_does_not_take_is_refused(
    simulator: RunningSimulator, suffix: str, status: int, code: str
) -> None:
    response = post(simulator, suffix, max_tokens=10, max_completion_tokens=10)

    assert response.status_code == status
    assert code in response.text


@pytest.mark.parametrize(
    ("suffix", "limits", "tokens"),
    [
        ("", {"max_tokens": 2}, 2),
        ("", {"max_completion_tokens": 2}, 2),
        ("ignores-max-completion-tokens", {"max_completion_tokens": 2}, 5),
        ("ignores-max-completion-tokens", {"max_completion_tokens": 2, "max_tokens": 3}, 3),
        ("ignores-max-tokens", {"max_tokens": 2}, 5),
        ("no-max-tokens", {"max_completion_tokens": 2}, 2),
        ("context-10", {"max_tokens": 7}, 5),
    ],
)
def test_a_limit_holds_for_a_model_that_knows_its_name(
    simulator: RunningSimulator, suffix: str, limits: dict[str, Any], tokens: int
) -> None:
    # The whole answer, "1 2 3 4 5 6 7 8 9", has 17 characters.
    response = post(simulator, suffix, stream=False, **limits).raise_for_status()

    assert response.json()["usage"]["completion_tokens"] == tokens


def test_an_early_report_counts_one_token(simulator: RunningSimulator) -> None:
    assert reports(post(simulator, "early-usage")) == [(3, 1), (3, 5)]


def test_zeros_may_come_after_the_report(simulator: RunningSimulator) -> None:
    assert reports(post(simulator, "late-zero-usage")) == [(3, 5), (0, 0)]


def test_hidden_reasoning_is_in_the_total_only_and_in_the_log(simulator: RunningSimulator) -> None:
    usage = post(simulator, "hidden-reasoning-7", stream=False).json()["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 5, 15)
    assert simulator.log("chat")[-1]["usage"]["completion_tokens"] == 12
