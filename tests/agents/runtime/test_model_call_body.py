"""The body of a model call, and the most that it can cost."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.runtime.model_call_body import (
    fill_in,
    output_tokens_bound,
    prompt_tokens_bound,
    room_for_answer,
    unused_prediction_bound,
    with_limit,
)
from simulator.openai.assistant import reply_to
from simulator.openai.completion import true_usage
from simulator.openai.requests import parse_chat_request

IMAGE_TOKENS = 2000

texts = st.text(st.characters(codec="utf-8"), max_size=40)
image = st.builds(lambda data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}, texts)
parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts) | image, max_size=4)
spoken = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["system", "developer", "user", "assistant"]),
    texts | parts,
)
called = st.builds(
    lambda name, arguments: {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}],
    },
    texts,
    texts,
)
told = st.builds(lambda text: {"role": "tool", "tool_call_id": "call_1", "content": text}, texts)
bodies = st.builds(lambda messages: {"model": "m", "messages": messages}, st.lists(spoken | called | told, min_size=1))


def test_files_leave_less_room_for_the_answer() -> None:
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "A" * 400_000}}
    body = {"messages": [{"role": "user", "content": [file]}]}

    assert room_for_answer(body, 100_000, 0, 20_000) == room_for_answer(body, 100_000, 0, 0) - 20_000


def test_each_file_counts_as_its_tokens_and_its_name_as_text() -> None:
    def bound(data: str, name: str) -> int:
        file = {"type": "file", "file": {"filename": name, "file_data": data}}
        return prompt_tokens_bound({"messages": [{"role": "user", "content": [file, file]}]}, 0, 700)

    assert bound("data:application/pdf;base64," + "A" * 100_000, "a.pdf") == bound("", "a.pdf")
    assert bound("", "a" * 1000) == bound("", "") + 2 * 1000
    assert 1400 < bound("", "") < 1600


@given(body=bodies)
def test_the_hold_covers_every_token_of_a_prompt(body: dict[str, Any]) -> None:
    request = parse_chat_request(orjson.dumps(body))
    counted = true_usage(request, reply_to(request))["prompt_tokens"]
    images = sum(
        part["type"] == "image_url"
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    )

    # The simulator counts no tokens for an image: the operator's setting is added.
    assert prompt_tokens_bound(body, IMAGE_TOKENS) >= counted + IMAGE_TOKENS * images


@given(text=texts)
def test_every_byte_may_be_a_token(text: str) -> None:
    body = {"messages": [{"role": "user", "content": text}], "tools": [{"a": text}], "response_format": {"b": text}}

    assert prompt_tokens_bound(body, 0) >= 3 * len(text.encode())


def test_the_data_of_an_image_does_not_count() -> None:
    def bound(data: str) -> int:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return prompt_tokens_bound({"messages": [{"role": "user", "content": [picture]}]}, IMAGE_TOKENS)

    assert bound("A") == bound("A" * 10_000)
    assert IMAGE_TOKENS < bound("A") < IMAGE_TOKENS + 100


def test_the_data_of_audio_counts() -> None:
    data = "A" * 10_000
    sound = {"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}

    # A second of audio is about 50 tokens at most, and always more than 50 bytes.
    assert prompt_tokens_bound({"messages": [{"role": "user", "content": [sound]}]}, IMAGE_TOKENS) > len(data)


UNREAD = {"logit_bias": {"1": 2}, "user": "u" * 999, "temperature": 1, "max_tokens": 7, "store": True, "seed": 1}


def test_parameters_count_if_the_model_may_read_them() -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": "words"}]}

    for name in ("documents", "chat_template_kwargs", "some_day", "prediction"):
        assert 500 < prompt_tokens_bound({**plain, name: ["d" * 500]}, 0) - prompt_tokens_bound(plain, 0) < 550
    assert prompt_tokens_bound({**plain, **UNREAD}, 0) == prompt_tokens_bound(plain, 0)


def test_a_prediction_may_be_billed_as_written_beside_the_answer() -> None:
    body = {"messages": [], "prediction": {"type": "content", "content": "ü" * 500}, "max_tokens": 10}

    assert 1000 < unused_prediction_bound(body) < 1050
    assert unused_prediction_bound({"messages": []}) == 0
    # It takes no room from the answer that it predicts.
    assert room_for_answer({**asking(""), **body}, CONTEXT, 0) == room_for_answer(
        {**asking(""), "messages": []}, CONTEXT, 0
    )


def test_the_length_of_an_answer_is_limited_by_client_and_catalog() -> None:
    assert output_tokens_bound({}, 1000) == 1000
    assert output_tokens_bound({"max_tokens": 10}, 1000) == 10
    assert output_tokens_bound({"max_completion_tokens": 20, "max_tokens": 10}, 1000) == 10
    assert output_tokens_bound({"max_completion_tokens": 10, "max_tokens": 20}, 1000) == 10
    assert output_tokens_bound({"max_tokens": 5000}, 1000) == 1000


@given(limits=st.dictionaries(st.sampled_from(["max_tokens", "max_completion_tokens"]), st.integers(1, 2000)))
def test_one_limit_is_always_sent_and_the_hold_covers_it(limits: dict[str, int]) -> None:
    sent = with_limit({"model": "m", **limits}, 1000)

    assert sent == {"model": "m", "max_completion_tokens": min([1000, *limits.values()])}
    assert output_tokens_bound(sent, 1000) == sent["max_completion_tokens"]


def asking(text: str, *data: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": text}, *data]}]}


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A" * 50_000, "format": "mp3"}}
CONTEXT = 8000


# Bytes per token: of dense text such as code or Chinese, of average text, of very light text.
@pytest.mark.parametrize("density", [3, 4, 6])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6])
def test_a_prompt_of_any_density_that_leaves_room_is_not_refused_for_its_limit(share: float, density: int) -> None:
    tokens = int(CONTEXT * share)

    room = room_for_answer(asking("x" * (tokens * density)), CONTEXT, IMAGE_TOKENS)

    assert tokens + room <= CONTEXT
    # The client's answer is not cut to nothing by a careful estimate.
    assert room >= (CONTEXT - tokens) // 10


def test_average_text_has_room_up_to_the_end_of_the_context() -> None:
    room = room_for_answer(asking("x" * 4 * (CONTEXT - 1000)), CONTEXT, IMAGE_TOKENS)

    assert 400 < room <= 500


def test_a_prompt_without_room_is_sent_with_a_short_limit_so_that_the_upstream_says_so() -> None:
    assert room_for_answer(asking("x" * 4 * CONTEXT), CONTEXT, IMAGE_TOKENS) == 256


def test_an_image_counts_as_its_tokens_and_sound_not_at_all() -> None:
    empty = room_for_answer(asking(""), 100_000, IMAGE_TOKENS)

    assert empty > 99_900
    assert empty - 2 * IMAGE_TOKENS - 10 < room_for_answer(asking("", PICTURE, PICTURE), 100_000, IMAGE_TOKENS)
    assert room_for_answer(asking("", PICTURE, PICTURE), 100_000, IMAGE_TOKENS) <= empty - 2 * IMAGE_TOKENS
    assert empty - 10 < room_for_answer(asking("", SOUND), 100_000, IMAGE_TOKENS) <= empty


def test_images_of_the_largest_size_never_take_all_the_room() -> None:
    assert room_for_answer(asking("", *[PICTURE] * 9), 100_000, 48_200) > 49_000


@given(body=bodies, context_tokens=st.integers(1, 5000))
def test_there_is_always_room_for_something(body: dict[str, Any], context_tokens: int) -> None:
    assert 1 <= room_for_answer(body, context_tokens, IMAGE_TOKENS) <= context_tokens


def test_an_instruction_is_filled_in_from_what_agents_have_written() -> None:
    state = {"draft": "a {poem}", "poem": "never"}

    assert fill_in('Improve: {draft}. Answer {"like": "this"} {} {unknown} {0}', state) == (
        'Improve: a {poem}. Answer {"like": "this"} {} {unknown} {0}'
    )
