"""What clients send back becomes the messages that a chat model reads."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.chat.responses.input_items import read_input
from app.chat.responses.request import ResponseRequest

PICTURE = "data:image/png;base64,AAAA"
FILE = "data:application/pdf;base64,AAAA"


def message(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **fields}


def call(call_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "look", "arguments": "{}", **fields}


def chat_call(call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": "{}"}}


def result(call_id: str, output: Any = "seen") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def chat_result(call_id: str, content: Any = "seen") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def thoughts(text: str, name: str = "summary") -> dict[str, Any]:
    kind = "summary_text" if name == "summary" else "reasoning_text"
    return {"type": "reasoning", "id": "rs_1", "summary": [], name: [{"type": kind, "text": text}]}


def read(*items: Any) -> list[dict[str, Any]]:
    return read_input(list(items)).messages


def test_a_text_is_a_message_of_the_user() -> None:
    assert read_input("Hello!").messages == [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_messages_may_be_written_without_a_type(role: str) -> None:
    assert read({"role": role, "content": "a"}) == [{"role": role, "content": "a"}]


def test_the_parts_of_a_message() -> None:
    parts = [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "image_url": PICTURE, "detail": "low", "file_id": None},
        {"type": "input_file", "filename": "a.pdf", "file_data": FILE},
    ]

    assert read(message("user", parts))[0]["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": FILE}},
    ]


def test_what_a_model_has_said_is_one_text() -> None:
    parts = [
        {"type": "output_text", "text": "No. ", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "I cannot."},
    ]

    assert read(message("assistant", parts, id="msg_1", status="completed")) == [
        {"role": "assistant", "content": "No. I cannot."}
    ]


@pytest.mark.parametrize(
    "items",
    [[message("assistant", "Wait."), call("a"), call("b")], [call("a"), call("b"), message("assistant", "Wait.")]],
)
def test_the_items_of_one_answer_are_one_message_in_whatever_order(items: list[dict[str, Any]]) -> None:
    assert read(message("user", "Go"), *items, result("a"), result("b"))[1:] == [
        {"role": "assistant", "content": "Wait.", "tool_calls": [chat_call("a"), chat_call("b")]},
        chat_result("a"),
        chat_result("b"),
    ]


def test_calls_after_a_result_are_another_message() -> None:
    assert read(call("a"), result("a"), call("b"), result("b")) == [
        {"role": "assistant", "content": None, "tool_calls": [chat_call("a")]},
        chat_result("a"),
        {"role": "assistant", "content": None, "tool_calls": [chat_call("b")]},
        chat_result("b"),
    ]


def test_two_texts_of_a_model_are_two_messages() -> None:
    assert [each["content"] for each in read(message("assistant", "a"), message("assistant", "b"))] == ["a", "b"]


def test_a_result_may_have_parts() -> None:
    parts = [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": PICTURE}]

    assert read(call("a"), result("a", parts))[1]["content"][1]["image_url"] == {"url": PICTURE}


@pytest.mark.parametrize("name", ["summary", "content"])
def test_thoughts_of_the_same_turn_go_back_to_the_model(name: str) -> None:
    assert read(message("user", "Go"), thoughts("Hm.", name), call("a"), result("a"))[1] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "Hm.",
        "tool_calls": [chat_call("a")],
    }


def test_thoughts_of_earlier_turns_do_not() -> None:
    said = read(message("user", "Go"), thoughts("Hm."), message("assistant", "Gone"), message("user", "Come"))

    assert [sorted(each) for each in said] == [["content", "role"]] * 3


def test_calls_of_tools_that_take_any_text_keep_it() -> None:
    custom = {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": '+"a"'}
    answered = {"type": "custom_tool_call_output", "call_id": "a", "output": "done"}

    first, second = read(custom, answered)

    assert first["tool_calls"][0]["function"] == {"name": "patch", "arguments": '{"input":"+\\"a\\""}'}
    assert second == chat_result("a", "done")


def test_what_the_tools_of_other_servers_have_left_is_passed_over() -> None:
    assert len(read({"type": "web_search_call", "id": "ws_1", "status": "completed"}, message("user", "Hello"))) == 1


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (7, ()),
        (None, ()),
        ([], ()),
        ([{"type": "web_search_call"}], ()),
        ([message("user", "a")] * 5001, ()),
        (["text"], (0,)),
        ([{"content": "a"}], (0,)),
        ([{"type": "compaction", "encrypted_content": "a"}], (0,)),
        ([{"type": ["message"], "role": "user"}], (0,)),
        ([message("tool", "a")], (0, "role")),
        ([message("user", None)], (0, "content")),
        ([message("user", "a"), message("user", [{"type": "refusal", "refusal": "a"}])], (1, "content", 0)),
        ([message("user", [{"type": "input_text"}])], (0, "content", 0)),
        ([message("user", [{"type": "input_image", "file_id": "file-1"}])], (0, "content", 0)),
        ([message("user", [{"type": "input_image", "image_url": "file:///etc/passwd"}])], (0, "content", 0)),
        ([message("user", [{"type": "input_file", "file_url": "https://a.example/b.pdf"}])], (0, "content", 0)),
        ([message("user", [{"type": "input_audio", "input_audio": 7}])], (0, "content", 0)),
        ([message("user", ["text"])], (0, "content", 0)),
        ([call("")], (0, "call_id")),
        ([call("a", name=7)], (0, "name")),
        ([call("a", arguments={})], (0, "arguments")),
        ([result("a", {})], (0, "output")),
        ([{"type": "reasoning", "summary": "Hm."}], (0, "summary")),
        ([{"type": "reasoning", "encrypted_content": 7}], (0, "encrypted_content")),
    ],
)
def test_a_refusal_names_the_place(given: Any, place: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        ResponseRequest.model_validate({"model": "m", "input": given})

    assert refused.value.errors()[0]["loc"] == ("input", *place)
