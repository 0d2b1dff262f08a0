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


CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]}


@pytest.mark.parametrize(
    ("suffix", "status", "words"),
    [
        ("success-201", 201, "1 2 3"),
        ("status-529", 529, "overloaded_error"),
        ("no-temperature", 400, "Unsupported parameter: 'temperature'"),
        ("no-parallel-tool-calls", 422, "unknown field `parallel_tool_calls`"),
        ("no-additions", 400, "property 'odd' is unsupported"),
        ("thought-signatures", 400, "missing a thought_signature"),
        ("reasoning-details", 400, "cannot be modified"),
        ("thinking-blocks", 400, "cannot be modified"),
        ("finish-max-tokens", 200, '"finish_reason":"MAX_TOKENS"'),
        ("finish-null", 200, '"finish_reason":null'),
        ("float-usage", 200, '"prompt_tokens":3.0'),
        ("prompt-usage", 200, '"usage":{"prompt_tokens":3}'),
        ("stream-for-json", 200, "data: [DONE]"),
        ("json-for-stream", 200, '"message":'),
    ],
)
def test_a_dialect_is_spoken(simulator: RunningSimulator, suffix: str, status: int, words: str) -> None:
    messages = [{"role": "user", "content": "x"}, {**CALLED, "odd": 1}, {"role": "user", "content": "count to 9"}]

    response = post(
        simulator,
        suffix,
        stream=suffix == "json-for-stream",
        messages=messages,
        temperature=1,
        parallel_tool_calls=True,
    )

    assert response.status_code == status
    assert words in response.text


@pytest.mark.parametrize(
    ("suffix", "end"),
    [
        ("unended-event", b"}"),
        ("single-newlines", b"}\ndata: [DONE]\n"),
        ("carriage-returns", b"}\r\rdata: [DONE]\r\r"),
        ("error-text-1", b'data: {"error":"The server had an error (simulated)."}\n\n'),
    ],
)
def test_a_stream_is_written_in_a_dialect(simulator: RunningSimulator, suffix: str, end: bytes) -> None:
    assert post(simulator, suffix).content.endswith(end)


@pytest.mark.parametrize(
    ("suffix", "halves"), [("split-pairs", (b'"\\ud83d"', b'"\\ude00"')), ("split-bytes", (b"\xf0", b"\x9f\x98\x80"))]
)
def test_a_character_is_cut_in_two(simulator: RunningSimulator, suffix: str, halves: tuple[bytes, bytes]) -> None:
    messages = [{"role": "user", "content": "repeat after me: 😀"}]

    first, second = [
        line for line in post(simulator, suffix, messages=messages).content.split(b"\n\n") if b'"content": "' in line
    ][-2:]

    assert halves[0] in first
    assert halves[1] in second
