"""Every fault of a chat completion, and what the log says about it."""

import json
import re
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import openai
import pytest

from tests.simulator.server import RunningSimulator
from tests.waiting import PATIENCE, wait_until

COUNT = "count to 9"


def post(simulator: RunningSimulator, suffix: str, *, stream: bool = True, **options: Any) -> httpx.Response:
    body = {
        "model": f"sim-chat--{suffix}" if suffix else "sim-chat",
        "messages": [{"role": "user", "content": options.pop("words", COUNT)}],
        "stream": stream,
        "stream_options": {"include_usage": True},
        **options,
    }
    return simulator.http.post("/openai/v1/chat/completions", json=body)


def read_until_it_breaks(simulator: RunningSimulator, suffix: str, *, words: str = COUNT) -> tuple[str, str]:
    """Stream an answer; returns what arrived, and the error that ended the stream."""
    body = {"model": f"sim-chat--{suffix}", "messages": [{"role": "user", "content": words}], "stream": True}
    arrived = ""
    try:
        with simulator.http.stream("POST", "/openai/v1/chat/completions", json=body) as response:
            for text in response.iter_text():
                arrived += text
    except httpx.TransportError as error:
        return arrived, type(error).__name__
    return arrived, ""


def words_in(text: str) -> list[str]:
    return re.findall(r'"delta":\{"content":"([^"]+?) ?"\}', text)


def last_outcome(simulator: RunningSimulator) -> dict[str, Any]:
    wait_until(lambda: any(entry["outcome"] for entry in simulator.log("chat")[-1:]))
    return simulator.log("chat")[-1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, openai.AuthenticationError),
        (402, openai.APIStatusError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_requests_are_refused(
    openai_client: openai.AsyncOpenAI, simulator: RunningSimulator, status: int, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as refusal:
        await openai_client.chat.completions.create(
            model=f"sim-chat--status-{status}", messages=[{"role": "user", "content": "Hello"}]
        )

    assert refusal.value.status_code == status
    assert last_outcome(simulator)["status"] == status


def test_refusals_may_be_temporary(simulator: RunningSimulator) -> None:
    assert [post(simulator, "status-500-1").status_code for _ in range(2)] == [500, 200]
    assert [post(simulator, "html-502-1").status_code for _ in range(2)] == [502, 200]


def test_throttling_may_say_how_long_to_wait(simulator: RunningSimulator) -> None:
    assert post(simulator, "status-429-7").headers["retry-after"] == "7"
    assert "retry-after" not in post(simulator, "status-429").headers


def test_a_gateway_may_respond_with_html(simulator: RunningSimulator) -> None:
    assert post(simulator, "html-502").text.startswith("<html>")


@pytest.mark.parametrize("stream", [True, False])
def test_the_connection_may_be_dropped(simulator: RunningSimulator, stream: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        post(simulator, "drop-before-response", stream=stream)

    assert last_outcome(simulator)["outcome"] == "cut"


def test_a_stream_may_be_cut(simulator: RunningSimulator) -> None:
    arrived, broken = read_until_it_breaks(simulator, "cut-3")

    assert words_in(arrived) == ["1", "2", "3"]
    assert broken == "RemoteProtocolError"
    assert (last_outcome(simulator)["outcome"], last_outcome(simulator)["chunks_sent"]) == ("cut", 4)
    assert last_outcome(simulator)["sent_bytes"] == len("1 2 3 ")


def test_a_stream_shorter_than_the_cut_is_cut_at_its_end(simulator: RunningSimulator) -> None:
    arrived, broken = read_until_it_breaks(simulator, "cut-99", words="count to 2")

    assert words_in(arrived) == ["1", "2"]
    assert 'finish_reason":"stop' not in arrived
    assert broken == "RemoteProtocolError"


def test_a_whole_answer_may_be_cut(simulator: RunningSimulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        post(simulator, "cut", stream=False)


@pytest.mark.parametrize(("suffix", "said"), [("stall-2", ["1", "2"]), ("first-token-slow-30", []), ("slow-90", [])])
def test_a_stream_may_stall(simulator: RunningSimulator, suffix: str, said: list[str]) -> None:
    messages = [{"role": "user", "content": COUNT}]
    body = json.dumps({"model": f"sim-chat--{suffix}", "messages": messages, "stream": True})
    arrived = ""
    with closing(HTTPConnection(simulator.url.removeprefix("http://"), timeout=PATIENCE)) as connection:
        connection.request("POST", "/openai/v1/chat/completions", body, {"Authorization": "Bearer sk-test"})
        response = connection.getresponse()
        while words_in(arrived) != said:
            arrived += response.readline().decode()
        connection.sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            arrived += response.read().decode()

    assert words_in(arrived) == said
    assert last_outcome(simulator)["outcome"] == "client_disconnected"


def test_the_first_token_may_be_late(simulator: RunningSimulator) -> None:
    assert words_in(post(simulator, "first-token-slow-0.01").text)[0] == "1"


@pytest.mark.parametrize("suffix", ["slow-30", "stall", "first-token-slow-30"])
def test_a_whole_answer_may_be_slow(simulator: RunningSimulator, suffix: str) -> None:
    body = {"model": f"sim-chat--{suffix}", "messages": [{"role": "user", "content": COUNT}]}

    with pytest.raises(httpx.ReadTimeout):
        simulator.http.post("/openai/v1/chat/completions", json=body, timeout=httpx.Timeout(PATIENCE, read=0.1))
    assert last_outcome(simulator)["outcome"] == "client_disconnected"


def test_slow_answers_arrive_complete(simulator: RunningSimulator) -> None:
    by_fault = post(simulator, "slow-0.05")
    by_words = post(simulator, "", words="count to 2 slowly")

    assert len(words_in(by_fault.text)) == 9
    assert len(words_in(by_words.text)) == 2
    assert last_outcome(simulator)["outcome"] == "finished"


async def test_an_error_frame_ends_a_stream(openai_client: openai.AsyncOpenAI, simulator: RunningSimulator) -> None:
    chunks = await openai_client.chat.completions.create(
        model="sim-chat--error-frame-2", messages=[{"role": "user", "content": COUNT}], stream=True
    )

    said = [(await anext(chunks)).choices[0].delta.content for _ in range(3)]
    with pytest.raises(openai.APIError, match="server had an error"):
        await anext(chunks)

    assert said == ["", "1 ", "2 "]
    assert "error" in post(simulator, "error-frame", stream=False).json()


async def test_garbage_breaks_parsers(openai_client: openai.AsyncOpenAI, simulator: RunningSimulator) -> None:
    chunks = await openai_client.chat.completions.create(
        model="sim-chat--garbage-1", messages=[{"role": "user", "content": COUNT}], stream=True
    )

    said = [(await anext(chunks)).choices[0].delta.content for _ in range(2)]
    with pytest.raises(json.JSONDecodeError):
        await anext(chunks)

    assert said == ["", "1 "]
    assert len(words_in(post(simulator, "garbage-1").text)) == 9
    with pytest.raises(json.JSONDecodeError):
        post(simulator, "garbage", stream=False).json()


@pytest.mark.parametrize(
    ("suffix", "has_finish", "has_usage", "has_done"),
    [
        ("", True, True, True),
        ("no-done", True, True, False),
        ("no-usage", True, False, True),
        ("no-finish", False, False, False),
    ],
)
def test_streams_may_lack_their_end(
    simulator: RunningSimulator,
    suffix: str,
    has_finish: bool,
    has_usage: bool,
    has_done: bool,
) -> None:
    text = post(simulator, suffix).text

    assert len(words_in(text)) == 9
    assert ('"finish_reason":"stop"' in text) is has_finish
    assert ('"choices":[]' in text) is has_usage
    assert ("[DONE]" in text) is has_done


@pytest.mark.parametrize(
    ("suffix", "count"),
    [("negative-usage", "-100"), ("huge-usage", "1000000000000"), ("nan-usage", "NaN"), ("no-usage", None)],
)
def test_usage_may_be_nonsense(simulator: RunningSimulator, suffix: str, count: str | None) -> None:
    whole, streamed = post(simulator, suffix, stream=False).text, post(simulator, suffix).text

    expected = '"usage":null' if count is None else f'"prompt_tokens":{count},"completion_tokens":{count}'
    assert expected in whole
    assert expected in streamed


def test_answers_may_be_filtered(simulator: RunningSimulator) -> None:
    [choice] = post(simulator, "content-filter", stream=False).json()["choices"]

    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "1 2 3 4 ")


def test_tool_calls_may_lack_their_index(simulator: RunningSimulator) -> None:
    tool = {"type": "function", "function": {"name": "roll_dice", "parameters": {}}}

    text = post(simulator, "tool-index-missing", words="roll dice", tools=[tool]).text

    assert '"tool_calls":[{"id":"call_' in text
    assert '"tool_calls":[{"function":{"arguments":' in text


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("tool-ids-missing", ['{"index":0,"id":"","type":"function","function":{"name":"roll_dice","arguments":"{']),
        ("tool-names-cut", ['"name":"roll","arguments":""', '{"index":0,"function":{"name":"_dice"}}']),
        ("tool-names-repeated", ['"function":{"arguments":"{}","name":"roll_dice"}']),
        ("tool-arguments-announced", ['"name":"roll_dice","arguments":"{}"', '"function":{"arguments":"{"}']),
    ],
)
def test_tool_calls_may_come_in_odd_pieces(simulator: RunningSimulator, suffix: str, expected: list[str]) -> None:
    tool = {"type": "function", "function": {"name": "roll_dice", "parameters": {}}}

    text = post(simulator, suffix, words="roll dice", tools=[tool]).text

    for piece in expected:
        assert piece in text


def test_the_log_notes_that_the_client_disconnected(simulator: RunningSimulator) -> None:
    body = {"model": "sim-chat", "messages": [{"role": "user", "content": "count to 1000 slowly"}], "stream": True}
    with simulator.http.stream("POST", "/openai/v1/chat/completions", json=body) as response:
        next(response.iter_text())

    entry = last_outcome(simulator)
    assert entry["outcome"] == "client_disconnected"
    assert 0 < entry["chunks_sent"] < 1000
    assert entry["at"] < entry["ended_at"]


def test_the_log_holds_the_request(simulator: RunningSimulator) -> None:
    post(simulator, "", user="somebody")

    entry = last_outcome(simulator)
    assert entry["request"]["user"] == "somebody"
    assert (entry["model"], entry["stream"], entry["outcome"]) == ("sim-chat", True, "finished")
    assert entry["chunks_sent"] == 13  # role, nine words, finish, usage, [DONE]


@pytest.mark.parametrize("stream", [True, False])
def test_the_log_holds_what_was_sent(simulator: RunningSimulator, stream: bool) -> None:
    tool = {"type": "function", "function": {"name": "roll_dice", "parameters": {}}}

    post(simulator, "", words="repeat after me: ä b", stream=stream)
    assert (last_outcome(simulator)["sent_bytes"], last_outcome(simulator)["calls"]) == (4, [])

    text = post(simulator, "", words="roll dice", tools=[tool], stream=stream).text
    assert last_outcome(simulator)["sent_bytes"] == len("roll_dice{}")
    [call_id] = last_outcome(simulator)["calls"]
    assert call_id in text


def test_ordered_faults_apply_to_chats(simulator: RunningSimulator) -> None:
    simulator.order("status-503", times=1, path="/openai/v1/chat/completions")
    simulator.order("status-429-3", nth=2, model="sim-chat")

    responses = [post(simulator, "") for _ in range(3)]

    assert [response.status_code for response in responses] == [503, 429, 200]
    assert responses[1].headers["retry-after"] == "3"


@pytest.mark.parametrize("suffix", ["", "no-usage", "huge-usage"])
def test_the_log_holds_the_true_usage_even_if_the_reported_one_is_wrong(
    simulator: RunningSimulator, suffix: str
) -> None:
    post(simulator, suffix, words="repeat after me: twelve chars")

    assert last_outcome(simulator)["usage"] == {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
