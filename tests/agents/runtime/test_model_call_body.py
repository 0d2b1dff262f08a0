"""The body of a model call, and the most that it can cost."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.agents.runtime.model_call_body import fill_in, output_tokens_bound, prompt_tokens_bound, with_limit
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


def test_the_length_of_an_answer_is_limited_by_client_and_catalog() -> None:
    assert output_tokens_bound({}, 1000) == 1000
    assert output_tokens_bound({"max_tokens": 10}, 1000) == 10
    assert output_tokens_bound({"max_completion_tokens": 20, "max_tokens": 10}, 1000) == 20
    assert output_tokens_bound({"max_tokens": 5000}, 1000) == 1000


@given(limits=st.dictionaries(st.sampled_from(["max_tokens", "max_completion_tokens"]), st.integers(1, 2000)))
def test_the_hold_covers_the_longest_answer(limits: dict[str, int]) -> None:
    sent = with_limit({"model": "m", **limits}, 1000)

    assert sent.keys() == {"model", *limits}
    # Whichever limit the model obeys, the hold covers it.
    assert all(sent[name] <= output_tokens_bound(limits, 1000) <= 1000 for name in limits)


def test_an_instruction_is_filled_in_from_what_agents_have_written() -> None:
    state = {"draft": "a {poem}", "poem": "never"}

    assert fill_in('Improve: {draft}. Answer {"like": "this"} {} {unknown} {0}', state) == (
        'Improve: a {poem}. Answer {"like": "this"} {} {unknown} {0}'
    )
