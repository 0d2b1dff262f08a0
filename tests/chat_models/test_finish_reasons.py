from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.finish_reasons import finish_reason_of, is_stated
from app.core.errors import ProviderError

MEANINGS = {
    "stop": "stop STOP eos eos_token EOS end_turn endTurn stop_sequence stop_str COMPLETE completed FINISH_REASON_STOP",
    "tool_calls": "tool_calls TOOL_CALL tool_use function_call toolUse",
    "length": "length LENGTH model_length max_tokens MAX_TOKENS MaxTokens FINISH_REASON_MAX_TOKENS max_output_tokens"
    " max_length token_limit tokens_limit_reached model_context_window_exceeded ERROR_LIMIT max_new_tokens_reached"
    " time_limit truncated",
    "content_filter": "content_filter content-filter SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII refusal"
    " blocked guardrail_intervened sensitive ERROR_TOXIC IMAGE_SAFETY content_filtered blocked_by_policy",
}
ERRORS = (
    "error ERROR MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL abort cancelled network_error OTHER unheard-of rate_limit"
    " insufficient_system_resource error_max_tokens"
)


@pytest.mark.parametrize(
    ("reason", "meaning"), [(word, each) for each, words in MEANINGS.items() for word in words.split()]
)
def test_every_servers_words_are_understood(reason: str, meaning: str) -> None:
    assert finish_reason_of(reason) == meaning


@pytest.mark.parametrize("reason", [*ERRORS.split(), "停止", 7, ["stop"], {"a": 1}, True])
def test_what_is_no_known_good_end_is_an_error(reason: Any) -> None:
    with pytest.raises(ProviderError):
        finish_reason_of(reason)


@pytest.mark.parametrize("reason", [None, "", "null", "None", "FINISH_REASON_UNSPECIFIED", "not_finished"])
def test_some_words_say_nothing(reason: Any) -> None:
    assert not is_stated(reason)


@given(st.text())
def test_no_text_passes_for_a_whole_answer_by_accident(reason: str) -> None:
    try:
        meaning = finish_reason_of(reason)
    except ProviderError:
        return

    assert meaning in MEANINGS
    assert meaning != "stop" or reason.strip()
