"""Chat completions as OpenAI's own client sees them."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.simulator.asking import ask, stream
from tests.simulator.server import RunningSimulator
from tests.waiting import PATIENCE


async def test_models_are_listed(openai_client: openai.AsyncOpenAI) -> None:
    assert [model.id for model in (await openai_client.models.list()).data] == ["sim-chat", "sim-chat-small"]


async def test_a_plain_answer_quotes_the_question(openai_client: openai.AsyncOpenAI) -> None:
    messages: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello there"}]
    completion = await openai_client.chat.completions.create(model="sim-chat", messages=messages, seed=7)

    content = completion.choices[0].message.content
    assert content is not None
    assert content.endswith("You said: Hello there")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.object == "chat.completion"
    assert completion.system_fingerprint == "fp_simulated_7"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 5  # 8 + 11 characters
    assert completion.usage.completion_tokens == -(-len(content) // 4)
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


async def test_equal_conversations_get_equal_answers(openai_client: openai.AsyncOpenAI) -> None:
    first, second = await ask(openai_client, "Hello"), await ask(openai_client, "Hello")

    assert first == second


async def test_the_answer_counts_the_pictures_of_the_question(openai_client: openai.AsyncOpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is"}, picture, picture]}]

    choice = await ask(openai_client, "", messages=messages)

    assert "I saw 2 images. You said: What is" in choice.message.content


@pytest.mark.parametrize(
    ("words", "content"),
    [("Repeat after me: X  y\nz", "X  y\nz"), ("Please count to 12", "1 2 3 4 5 6 7 8 9 10 11 12")],
)
async def test_scripted_answers(openai_client: openai.AsyncOpenAI, words: str, content: str) -> None:
    whole = await ask(openai_client, words)
    chunks = await stream(openai_client, words)

    assert whole.message.content == content
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == content


async def test_limits_end_an_answer(openai_client: openai.AsyncOpenAI) -> None:
    short = await ask(openai_client, "repeat after me: one two three", max_tokens=2)
    stopped = await ask(openai_client, "repeat after me: one two three", stop=["three", "two"])

    assert (short.message.content, short.finish_reason) == ("one two ", "length")
    assert (stopped.message.content, stopped.finish_reason) == ("one ", "stop")


async def test_several_choices(openai_client: openai.AsyncOpenAI) -> None:
    messages: Any = [{"role": "user", "content": "count to 3"}]
    whole = await openai_client.chat.completions.create(model="sim-chat", messages=messages, n=2)
    chunks = await stream(openai_client, "count to 3", n=2)

    assert [choice.index for choice in whole.choices] == [0, 1]
    for index in (0, 1):
        deltas = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert "".join(delta.delta.content or "" for delta in deltas) == "1 2 3"
        assert deltas[-1].finish_reason == "stop"


async def test_a_stream_has_the_chunks_of_openais_format(openai_client: openai.AsyncOpenAI) -> None:
    chunks = await stream(openai_client, "count to 3", stream_options={"include_usage": True})

    *said, finish, usage = chunks
    assert (said[0].choices[0].delta.role, said[0].choices[0].delta.content) == ("assistant", "")
    assert [chunk.choices[0].delta.content for chunk in said[1:]] == ["1 ", "2 ", "3"]
    assert {chunk.choices[0].finish_reason for chunk in said} == {None}
    assert (finish.choices[0].finish_reason, finish.choices[0].delta.content) == ("stop", None)
    assert usage.choices == []
    assert usage.usage is not None
    assert (usage.usage.prompt_tokens, usage.usage.completion_tokens) == (3, 2)
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_is_framed_as_server_sent_events(simulator: RunningSimulator) -> None:
    body = {"model": "sim-chat", "messages": [{"role": "user", "content": "count to 2"}], "stream": True}

    response = simulator.http.post("/openai/v1/chat/completions", json=body)

    frames = response.text.split("\n\n")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert frames[-2:] == ["data: [DONE]", ""]
    assert all(frame.startswith("data: {") for frame in frames[:-2])
    assert not any('"usage"' in frame for frame in frames)


async def test_json_can_be_requested(openai_client: openai.AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 5},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "rating": {"type": ["number", "null"], "exclusiveMinimum": 4},
            "owner": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "kind": {"const": "note"},
            "is_open": {"type": "boolean"},
            "size": {"allOf": [{"type": "integer"}, {"maximum": 0}]},
            "optional": {"type": "string"},
        },
        "required": ["title", "tags", "rating", "owner", "kind", "is_open", "size"],
        "$defs": {"tag": {"enum": ["new", "old"]}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "note", "schema": schema}}

    structured = await ask(openai_client, "Hello there", response_format=wanted)
    free = await ask(openai_client, "Hello there", response_format={"type": "json_object"})

    assert json.loads(structured.message.content) == {
        "title": "Hello",
        "tags": ["new", "new"],
        "rating": 5,
        "owner": None,
        "kind": "note",
        "is_open": True,
        "size": 0,
    }
    assert json.loads(free.message.content) == {"answer": "Hello there"}


SONG = {"type": "object", "properties": {"title": {"type": "string"}, "verses": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (f"Answer in JSON of this schema: {json.dumps(SONG)}. No more.", {"title": "Sing!", "verses": 1}),
        (f'The schema {{"name": "song", "schema": {json.dumps(SONG)}}}', {"title": "Sing!", "verses": 1}),
        ("JSON with 'title' and `verses` keys, please", {"title": "Sing!", "verses": "Sing!"}),
        ("Any JSON, but no {braces}", {"answer": "Sing!"}),
    ],
)
async def test_json_has_the_form_that_the_prompt_describes(
    openai_client: openai.AsyncOpenAI, prompt: str, expected: dict[str, Any]
) -> None:
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": "Sing!"}]

    choice = await ask(openai_client, "", messages=messages, response_format={"type": "json_object"})

    assert json.loads(choice.message.content) == expected


@pytest.mark.parametrize(
    ("key", "status"), [("", 401), ("Bearer", 401), ("Bearer revoked", 401), ("Bearer unpaid", 402)]
)
def test_keys_are_checked(simulator: RunningSimulator, key: str, status: int) -> None:
    headers = {"Authorization": key} if key else {}
    response = httpx.post(f"{simulator.url}/openai/v1/chat/completions", json={}, headers=headers, timeout=PATIENCE)

    assert response.status_code == status
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"model": "sim-chat"}',
        b'{"model": "sim-chat", "messages": []}',
        b'{"model": "sim-chat", "messages": ["hello"]}',
        b'{"messages": [{"role": "user", "content": "hello"}]}',
        b'{"model": "sim-chat", "messages": [{"role": "user", "content": "hello"}], "n": 99}',
        b'{"model": "sim-chat--unheard-of", "messages": [{"role": "user", "content": "hello"}]}',
    ],
)
def test_bad_requests_are_refused(simulator: RunningSimulator, body: bytes) -> None:
    response = simulator.http.post("/openai/v1/chat/completions", content=body)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
