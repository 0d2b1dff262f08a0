"""The server as the official SDKs see it: how each of them reads its answers, streams, tool calls and errors.

All in one file, so that one pytest worker runs it and each SDK plays its scenarios only once.
"""

import json
import re

import pytest

from tests.contract.runs import Run

# The first test of an SDK waits for its environment to be installed.
pytestmark = pytest.mark.timeout(300)

COUNT = " ".join(map(str, range(1, 21)))
HELLO = re.compile(r"This is a simulated answer .* You said: Hello!")
WEATHER = {"name": "get_weather", "arguments": {"city": "Please get weather in Oslo"}}
PICTURES = [
    {
        "name": "replicate_generate",
        "arguments": {
            "model": "black-forest-labs/flux-schnell",
            "input": {"prompt": "Draw a fox twice", "seed": seed},
        },
    }
    for seed in (1, 2)
]
# 402 has no class of its own: Python's SDK raises its class for all statuses, Node's its class for all errors.
WITHOUT_CLASS = "APIStatusError or APIError"
REFUSALS = {
    "invalid_api_key": ("AuthenticationError", 401, "authentication_error", "invalid_api_key"),
    "insufficient_credits": (WITHOUT_CLASS, 402, "billing_error", "insufficient_credits"),
    "scope_not_allowed": ("PermissionDeniedError", 403, "permission_error", "scope_not_allowed"),
    "session_not_found": ("NotFoundError", 404, "not_found_error", "session_not_found"),
    "agent_not_found": ("NotFoundError", 404, "not_found_error", "agent_not_found"),
    "model_not_found": ("NotFoundError", 404, "not_found_error", "model_not_found"),
    "invalid_request": ("BadRequestError", 400, "invalid_request_error", "invalid_request"),
    "idempotency_key_reused": ("ConflictError", 409, "invalid_request_error", "idempotency_key_reused"),
    "rate_limit_exceeded": ("RateLimitError", 429, "rate_limit_error", "rate_limit_exceeded"),
    "provider_error": ("InternalServerError", 502, "provider_error", "provider_error"),
    "provider_error_before_a_stream": ("InternalServerError", 502, "provider_error", "provider_error"),
}


def test_the_sdk_has_the_expected_version(request: pytest.FixtureRequest, run: Run) -> None:
    major = request.node.callspec.params["run"].rpartition("-")[2]

    assert run.version.partition(".")[0] == major


def test_an_answer_has_all_fields(run: Run) -> None:
    answer = run.result("chat")

    assert re.fullmatch(r"cmpl-\w+", answer["id"])
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "junis-orchestrator"
    assert answer["role"] == "assistant"
    assert HELLO.fullmatch(answer["content"])
    assert answer["finish_reason"] == "stop"
    prompt, completion, total = answer["usage"]
    assert min(prompt, completion) > 0
    assert total == prompt + completion
    assert answer["request_id"].endswith(".chat")


def test_a_session_remembers_its_messages(run: Run) -> None:
    turns = run.result("session")

    first, second = turns["first"], turns["second"]
    assert first["session_id"]
    assert second["session_id"] == first["session_id"]
    # The second prompt contains the first one and its answer.
    assert second["usage"][0] > first["usage"][2]


def test_headers_can_be_read(run: Run) -> None:
    answer = run.result("headers")

    headers = answer["headers"]
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert headers["x-session-id"] == answer["session_id"]
    assert int(headers["x-ratelimit-limit"]) > int(headers["x-ratelimit-remaining"]) >= 0
    assert int(headers["x-ratelimit-reset"]) > 1_700_000_000


def test_a_structured_answer_is_parsed(run: Run) -> None:
    assert run.result("structured") == {"parsed": {"title": "Hello!", "verses": 1}}


def test_a_structured_answer_that_is_cut_off_is_an_error(run: Run) -> None:
    assert run.result("structured_too_long") == {"class": "LengthFinishReasonError"}


def test_models_are_listed_and_found_by_name(run: Run) -> None:
    models = run.result("models")

    assert models["ids"][0] == "junis-orchestrator"
    assert "agent/plain" in models["ids"]
    assert models["retrieved"] == {"id": "agent/plain", "object": "model"}


def test_responses_are_kept_gone_on_from_and_deleted(run: Run) -> None:
    found = run.result("responses")

    assert HELLO.fullmatch(found["text"])
    first, second = found["tokens"]
    assert second > first
    assert found["items"] == ["message"]
    assert (found["is_kept"], found["is_gone"]) == (True, True)


def test_responses_come_in_pieces(run: Run) -> None:
    found = run.result("responses_in_pieces")

    assert len(found["pieces"]) == 20
    assert "".join(found["pieces"]) == found["whole"] == COUNT
    assert (found["last"], found["is_helped"]) == ("response.completed", True)


def test_responses_run_in_the_background_and_their_streams_are_gone_on_with(run: Run) -> None:
    found = run.result("responses_in_the_background")

    assert found["begun"] == "queued"
    status, text = found["ended"]
    assert (status, found["cancelled"]) == ("completed", "completed")
    assert HELLO.fullmatch(text)
    assert found["numbers"] == list(range(len(found["numbers"])))
    assert "".join(found["pieces"]) == found["whole"] == COUNT
    assert (len(found["pieces"]), found["last"]) == (20, "response.completed")


def test_responses_call_functions_and_have_a_form(run: Run) -> None:
    found = run.result("responses_with_tools")

    name, arguments = found["call"]
    assert (name, json.loads(arguments)) == (WEATHER["name"], WEATHER["arguments"])
    assert "Snow" in found["answer"]
    assert found["parsed"] == {"title": "Hello!", "verses": 1}


def test_a_stream_comes_in_chunks(run: Run) -> None:
    stream = run.result("stream")

    assert stream["ids"] == 1
    assert stream["objects"] == ["chat.completion.chunk"]
    assert stream["roles"] == ["assistant"]
    assert len(stream["pieces"]) == 20
    assert "".join(stream["pieces"]) == COUNT
    assert stream["finish_reasons"] == ["stop"]
    assert stream["session_id"]
    assert stream["request_id"].endswith(".stream")


def test_a_stream_has_no_usage_unless_the_client_asks_for_it(run: Run) -> None:
    stream = run.result("stream")

    assert set(stream["usages"]) == {None}
    assert stream["without_choices"] == 0


def test_usage_is_in_the_last_chunk_if_the_client_asks_for_it(run: Run) -> None:
    stream = run.result("stream_with_usage")

    *before, last = stream["usages"]
    assert set(before) == {None}
    assert last > 0
    assert stream["without_choices"] == 1
    assert "".join(stream["pieces"]) == COUNT


def test_the_sdks_helper_joins_a_stream(run: Run) -> None:
    completion = run.result("stream_helper")

    assert completion["events"] == ["chunk", "content.delta", "content.done"]
    assert completion["content"] == COUNT
    assert completion["finish_reason"] == "stop"
    assert completion["total_tokens"] > 0


def test_a_streamed_structured_answer_is_parsed(run: Run) -> None:
    assert run.result("structured_stream") == {"parsed": {"title": "Hello!", "verses": 1}}


def test_the_last_chunk_holds_the_generated_content(run: Run) -> None:
    (made,) = run.result("stream_of_something_made")["made"]

    assert made["status"] == "completed"
    assert made["storage_url"].startswith("http")


def test_a_client_that_closes_a_stream_can_make_further_requests(run: Run) -> None:
    after = run.result("abandoned_stream")

    assert after["role"] == "assistant"
    assert after["content"].endswith("You said: Hello!")


def test_a_client_answers_a_tool_call(run: Run) -> None:
    call = run.result("tool_call")

    assert call["finish_reason"] == "tool_calls"
    assert call["types"] == ["function"]
    assert call["calls"] == [WEATHER]
    assert call["content"] is None
    assert "Snow" in call["answer"]
    assert call["answer_finish_reason"] == "stop"


def test_two_tool_calls_in_one_message(run: Run) -> None:
    called = run.result("parallel_tool_calls")

    assert called["finish_reason"] == "tool_calls"
    assert called["ids"] == 2
    assert called["calls"] == PICTURES


def test_the_sdks_helper_joins_a_tool_call(run: Run) -> None:
    called = run.result("streamed_tool_call")

    assert called["finish_reason"] == "tool_calls"
    assert called["types"] == ["function"]
    assert called["calls"] == [WEATHER]
    assert called["done"] == [{"index": 0, **WEATHER}]


def test_the_sdks_helper_keeps_two_tool_calls_apart(run: Run) -> None:
    called = run.result("streamed_parallel_tool_calls")

    assert called["finish_reason"] == "tool_calls"
    assert called["ids"] == 2
    assert called["calls"] == PICTURES
    assert called["done"] == [{"index": index, **call} for index, call in enumerate(PICTURES)]


@pytest.mark.parametrize("scenario", REFUSALS)
def test_a_refusal_has_its_class_and_code(run: Run, scenario: str) -> None:
    error = run.result(scenario)

    name, status, kind, code = REFUSALS[scenario]
    assert error["class"] in name.split(" or ")
    assert (error["status"], error["type"], error["code"]) == (status, kind, code)
    assert error["message"]
    assert error["request_id"].endswith(f".{scenario}")


@pytest.mark.parametrize("scenario", REFUSALS)
def test_a_refusal_is_not_repeated(run: Run, scenario: str) -> None:
    run.result(scenario)

    assert run.requests[scenario] == 1


@pytest.mark.parametrize("scenario", ["idempotency_key_reused", "provider_error", "provider_error_before_a_stream"])
def test_a_refusal_that_the_sdk_would_retry_in_vain_says_so(run: Run, scenario: str) -> None:
    assert run.result(scenario)["should_retry"] == "false"


@pytest.mark.parametrize("scenario", ["provider_error", "provider_error_before_a_stream"])
def test_a_model_that_may_have_run_is_not_called_again(run: Run, scenario: str) -> None:
    run.result(scenario)

    assert run.model_calls[scenario] == 1


def test_a_bad_parameter_is_named(run: Run) -> None:
    assert run.result("invalid_request")["param"] == "temperature"


def test_a_rate_limit_says_how_long_to_wait(run: Run) -> None:
    assert 1 <= int(run.result("rate_limit_exceeded")["retry_after"]) <= 60


def test_a_stream_that_fails_raises_an_error(run: Run) -> None:
    error = run.result("interrupted_stream")

    assert error["content"] == "1 2 3 "
    assert error["class"] == "APIError"
    assert (error["type"], error["code"]) == ("provider_error", "provider_error")
    assert error["message"]
    assert run.requests["interrupted_stream"] == run.model_calls["interrupted_stream"] == 1


def test_the_sdk_retries_a_temporary_refusal_twice(run: Run) -> None:
    error = run.result("provider_rate_limited")

    assert (error["class"], error["status"]) == ("RateLimitError", 429)
    assert error["code"] == "provider_rate_limited"
    assert error["retry_after"] == "1"
    assert run.requests["provider_rate_limited"] == run.model_calls["provider_rate_limited"] == 3


def test_the_sdk_gets_its_answer_once_the_refusals_end(run: Run) -> None:
    answer = run.result("recovering_provider")

    assert answer["content"].endswith("You said: Hello!")
    assert run.requests["recovering_provider"] == run.model_calls["recovering_provider"] == 2


def test_a_request_with_an_idempotency_key_runs_once_and_is_replayed(run: Run) -> None:
    answers = run.result("idempotent")

    assert answers["replayed"] == [None, "true"]
    assert answers["ids"] == 1
    assert answers["contents"][0] == answers["contents"][1]
    assert run.requests["idempotent"] == 2
    assert run.model_calls["idempotent"] == 1


def test_a_replayed_stream_is_joined_like_the_first(run: Run) -> None:
    answers = run.result("idempotent_stream")

    assert answers == {"ids": 1, "contents": [COUNT, COUNT], "finish_reasons": ["stop", "stop"]}
    assert run.requests["idempotent_stream"] == 2
    assert run.model_calls["idempotent_stream"] == 1


def test_images_come_by_their_bytes_or_their_url(run: Run) -> None:
    assert run.result("images") == {"sizes": [[128, 72]] * 2, "has_bytes": False, "at_url": [128, 72]}


def test_a_stream_of_images_has_an_event_for_each(run: Run) -> None:
    assert run.result("images_in_a_stream") == {"events": [["image_generation.completed", [128, 72]]] * 2}


def test_an_image_is_changed_whether_it_comes_alone_or_in_a_list(run: Run) -> None:
    assert run.result("changed_images") == {"sizes": [[128, 72]] * 2}


def test_a_text_is_spoken(run: Run) -> None:
    assert run.result("speech") == {"type": "audio/wav", "begins": "RIFF", "is_long": True}


def test_vectors_are_read_from_either_form(run: Run) -> None:
    found = run.result("embeddings")

    first, second = found["vectors"]
    assert first == pytest.approx(found["again"], abs=1e-6)
    assert first != pytest.approx(second, abs=1e-2)
    assert len(first) == len(second) == 256
    assert min(found["usage"]) > 0
