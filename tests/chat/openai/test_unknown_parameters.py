"""Which parameters that the server does not know may be sent on: none that change what it has decided."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.chat.openai.request import AgentRequest, ChatRequest
from app.chat.openai.unknown_parameters import MOST_CHARACTERS, MOST_PARAMETERS

MESSAGES = [{"role": "user", "content": "words"}]


def parameters_of(**given: Any) -> dict[str, Any]:
    """What reaches the model of a request with these."""
    return ChatRequest.model_validate({"messages": MESSAGES, **given}).parameters


def refusal(given: dict[str, Any]) -> tuple[str, str]:
    """Where the error is in a request with these, and what it says."""
    with pytest.raises(ValidationError) as refused:
        parameters_of(**given)
    (error,) = refused.value.errors()
    return ".".join(map(str, error["loc"])), error["msg"]


@pytest.mark.parametrize(
    "given",
    [
        {"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1, "ignore_eos": True, "min_tokens": 3},
        {"reasoning": {"effort": "high"}, "thinking": {"type": "enabled", "budget_tokens": 100}},
        {"chat_template_kwargs": {"enable_thinking": False}, "guided_json": {"type": "object"}},
        {"turn_request": 1, "__class__": 2, "model_extra": 3, "copy": 4, "wants_usage": 5},
        {"usage": {"include": True}, "web": None, "transforms": [], "x-extra.1": "ü", "topK": 7},
    ],
)
def test_what_the_server_has_no_opinion_about_goes_to_the_model_as_it_came(given: dict[str, Any]) -> None:
    assert parameters_of(**given) == {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"best_of": 20}, "one answer"),
        ({"use_beam_search": True}, "one answer"),
        ({"candidateCount": 8}, "one answer"),
        ({"max_new_tokens": 100_000}, "max_completion_tokens"),
        ({"max_output_tokens": 100_000}, "max_completion_tokens"),
        ({"maxOutputTokens": 100_000}, "max_completion_tokens"),
        ({"num_predict": -1}, "max_completion_tokens"),
        ({"models": ["a"]}, "which model"),
        ({"fallbacks": [{"model": "a"}]}, "which model"),
        ({"route": "fallback"}, "which model"),
        ({"provider": {"order": ["a"]}}, "which model"),
        ({"api_base": "http://elsewhere"}, "which model"),
        ({"extra_headers": {"Authorization": "x"}}, "which model"),
        ({"extra_body": {"n": 5}}, "not inside"),
        ({"options": {"num_predict": 9}}, "not inside"),
        ({"generationConfig": {"candidateCount": 8}}, "not inside"),
        ({"web_search_options": {}}, "not known before"),
        ({"plugins": [{"id": "web"}]}, "not known before"),
        ({"enable_search": True}, "not known before"),
        ({"previous_response_id": "resp_1"}, "stored at the provider"),
        ({"cachedContent": "c"}, "stored at the provider"),
        ({"prompt": "words"}, "messages"),
        ({"chat_template": "{% for i in range(9999) %}x{% endfor %}"}, "messages"),
        ({"mm_processor_kwargs": {"max_pixels": 10**9}}, "image"),
    ],
)
def test_what_the_server_decides_is_refused_by_name(given: dict[str, Any], reason: str) -> None:
    (name,) = given

    location, text = refusal(given)

    assert location == name
    assert reason in text


@pytest.mark.parametrize(
    "name", ["N", "Model", "MESSAGES", "Stream", "stream-options", "maxTokens", "Tools", "sessionId"]
)
def test_another_spelling_of_a_known_name_is_refused(name: str) -> None:
    assert refusal({name: 5})[0] == name


# Some servers read the first two as `stream` and `key`.
@pytest.mark.parametrize("name", ["\u017ftream", "\u212aey", "", "a b", "7", "a\0", "n" * 65])
def test_a_name_in_other_characters_is_refused(name: str) -> None:
    location, text = refusal({name: 5})

    assert (location, text) == (name[:64], "it is no name of a parameter")


@pytest.mark.parametrize("request_form", [ChatRequest, AgentRequest])
def test_the_bounds_hold_for_all_of_them_together(request_form: type[ChatRequest]) -> None:
    few = {f"p{number}": 1 for number in range(MOST_PARAMETERS)}
    small = {"a": "x" * (MOST_CHARACTERS // 2 - 2), "b": "x" * (MOST_CHARACTERS // 2 - 2)}

    for given in (few, small):
        assert request_form.model_validate({"messages": MESSAGES, **given}).parameters == given
        with pytest.raises(ValidationError, match="parameters that this server does not know"):
            request_form.model_validate({"messages": MESSAGES, **given, "c": 1})


def test_an_agents_prompt_is_a_message_and_no_parameter() -> None:
    asked = AgentRequest.model_validate({"prompt": "words", "top_k": 1})

    assert (asked.parameters, asked.messages[0]["content"]) == ({"top_k": 1}, "words")
