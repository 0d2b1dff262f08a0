"""An answer put together from its chunks."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.runtime.answer import Answer
from app.agents.runtime.events import Delta
from app.agents.runtime.tool_calls import MOST_CALLS
from app.chat_models.parsing import parse_completion
from app.chat_models.protocol import MAX_ANSWER_BYTES
from app.core.errors import ProviderError

CLIENT_TOOLS = {"get_weather", "get_time"}
NAMES = ["paint", "sing", "get_weather", "get_time"]

Json = dict[str, Any]

texts = st.text(max_size=12)
messages = st.fixed_dictionaries(
    {
        "content": texts,
        "refusal": texts,
        "calls": st.lists(st.tuples(st.sampled_from(NAMES), texts), max_size=4),
    }
)


def call(number: int, name: str, arguments: str) -> Json:
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """The text, cut anywhere, empty pieces included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def deltas_of(draw: st.DrawFn, message: Json) -> list[Json]:
    """The message as the deltas of a stream, cut anywhere. The index of a call is right, always 0, or missing.

    The id of a call is in each of its pieces, only in the first one, or a different one in each.
    """
    deltas: list[Json] = [{"role": "assistant", "content": draw(st.sampled_from(["", None]))}]
    for name in ("content", "refusal"):
        deltas += [{name: piece} for piece in pieces(draw, message[name])]
    is_numbered, is_right, id_again = (
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from([None, "own", "new"])),
    )
    for number, (name, arguments) in enumerate(message["calls"]):
        first, *rest = pieces(draw, arguments)
        index = {"index": number if is_right else 0} if is_numbered else {}
        parts: list[Json] = [call(number, name, first)]
        for nth, piece in enumerate(rest):
            again = {None: {}, "own": {"id": f"call_{number}"}, "new": {"id": f"call_{number}_{nth}"}}[id_again]
            parts.append({**again, "function": {"arguments": piece}})
        deltas += [{"tool_calls": [{**index, **part}]} for part in parts]
    return deltas


def streamed(deltas: list[Json], finish_reason: str = "stop") -> tuple[Answer, list[Delta]]:
    answer = Answer(CLIENT_TOOLS)
    shown = [answer.add_chunk({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    shown.append(answer.add_chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}))
    shown.append(answer.rest())
    return answer, [delta for delta in shown if delta]


def whole(message: Json) -> Answer:
    answer = Answer(CLIENT_TOOLS)
    calls = [call(number, *named) for number, named in enumerate(message["calls"])]
    body = {"role": "assistant", "content": message["content"] or None, "refusal": message["refusal"] or None}
    completion = {"choices": [{"message": body | ({"tool_calls": calls} if calls else {})}]}
    answer.add_chunk(parse_completion(orjson.dumps(completion)))
    return answer


@given(data=st.data(), message=messages)
def test_any_chunking_gives_the_same_message(data: st.DataObject, message: Json) -> None:
    answer, _ = streamed(data.draw(deltas_of(message)))

    assert answer.message() == whole(message).message()
    assert (answer.server_calls, answer.client_calls) == (whole(message).server_calls, whole(message).client_calls)
    assert answer.delivered_bytes == whole(message).delivered_bytes


@given(data=st.data(), message=messages)
def test_the_client_sees_the_text_and_its_own_calls_only(data: st.DataObject, message: Json) -> None:
    answer, shown = streamed(data.draw(deltas_of(message)))

    deltas = [delta.delta for delta in shown]
    assert all(deltas)
    assert "".join(delta.get("content", "") for delta in deltas) == message["content"]
    assert "".join(delta.get("refusal", "") for delta in deltas) == message["refusal"]
    seen: list[Json] = []
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls", [])):
        if piece["index"] == len(seen):
            seen.append({"id": piece["id"], "type": piece["type"], "function": {**piece["function"]}})
        else:
            seen[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    assert seen == answer.client_calls
    assert all(call["function"]["arguments"] for call in seen)


@given(message=messages)
def test_calls_are_the_servers_or_the_clients(message: Json) -> None:
    answer = whole(message)

    assert {found["function"]["name"] for found in answer.server_calls} <= {"paint", "sing"}
    assert {found["function"]["name"] for found in answer.client_calls} <= CLIENT_TOOLS
    assert len(answer.server_calls) + len(answer.client_calls) == len(message["calls"])


def test_pieces_of_calls_may_be_interleaved() -> None:
    answer, shown = streamed(
        [
            {"tool_calls": [{"index": 0, **call(0, "get_weather", "")}, {"index": 1, **call(1, "get_time", "")}]},
            {
                "tool_calls": [
                    {"index": 1, "function": {"arguments": "b"}},
                    {"index": 0, "function": {"arguments": "a"}},
                ]
            },
            {"tool_calls": [{"index": 1, "function": {"arguments": "B"}}]},
        ]
    )

    assert answer.client_calls == [call(0, "get_weather", "a"), call(1, "get_time", "bB")]
    assert [[piece["index"] for piece in delta.delta["tool_calls"]] for delta in shown] == [[0, 1], [1, 0], [1]]


def test_interleaved_pieces_with_wrong_indexes_are_matched_by_their_ids() -> None:
    answer, _ = streamed(
        [
            {"tool_calls": [{"index": 0, **call(0, "get_weather", "a")}, {"index": 0, **call(1, "get_time", "b")}]},
            {"tool_calls": [{"index": 0, "id": "call_0", "function": {"arguments": "A"}}]},
            {"tool_calls": [{"index": 0, "id": "call_1", "function": {"arguments": "B"}}]},
        ]
    )

    assert answer.client_calls == [call(0, "get_weather", "aA"), call(1, "get_time", "bB")]


@pytest.mark.parametrize("given_id", ["", "call_0"])
def test_every_call_has_an_id_of_its_own(given_id: str) -> None:
    piece = {"id": given_id, "function": {"name": "get_time", "arguments": "{}"}}
    chunks = [{"tool_calls": [{"index": index, **piece}]} for index in (0, 1)]
    answers = [streamed(chunks)[0] for _ in range(2)]

    ids = [made["id"] for answer in answers for made in answer.client_calls]
    assert len(ids) == 4
    # Ids that the model did not give are unique even in several answers.
    assert len(set(ids) - {given_id}) == (4 if given_id == "" else 2)
    assert all(ids)


@pytest.mark.parametrize("arguments", ["", "{", '{"city": "Ro', "[]", "7", "null"])
def test_arguments_that_are_not_an_object_are_not_sent_back_to_the_model(arguments: str) -> None:
    answer, _ = streamed([{"tool_calls": [{"index": 0, **call(0, "get_weather", arguments)}]}], "length")

    assert answer.client_calls == [call(0, "get_weather", arguments)]
    assert answer.message()["tool_calls"] == [call(0, "get_weather", "{}")]


@pytest.mark.parametrize("names", [["reasoning_content"], ["reasoning"], ["reasoning_content", "reasoning"]])
def test_reasoning_is_shown_and_counted_once(names: list[str]) -> None:
    answer, shown = streamed([*({**dict.fromkeys(names, piece)} for piece in ("So ", "é")), {"content": "Yes"}])

    thoughts: list[Json] = [{"reasoning_content": "So "}, {"reasoning_content": "é"}]
    assert [delta.delta for delta in shown] == [*thoughts, {"content": "Yes"}]
    assert (answer.reasoning, answer.text) == ("So é", "Yes")
    assert answer.delivered_bytes == len("So éYes".encode())
    assert answer.message() == {"role": "assistant", "content": "Yes"}


def test_reasoning_under_both_names_goes_back_under_both() -> None:
    answer, _ = streamed(
        [{"reasoning": "Hm.", "reasoning_content": "Hm."}, {"tool_calls": [{"index": 0, **call(0, "paint", "{}")}]}]
    )

    assert (answer.message()["reasoning"], answer.message()["reasoning_content"]) == ("Hm.", "Hm.")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_before_a_call_is_sent_back_to_the_model(name: str) -> None:
    answer, _ = streamed([{name: "Hm."}, {"tool_calls": [{"index": 0, **call(0, "paint", "{}")}]}])

    assert answer.message()[name] == "Hm."


SIGNED = {"extra_content": {"google": {"thought_signature": "SIG"}}}
DETAILS = [{"type": "reasoning.encrypted", "data": "ENC", "id": "r1", "index": 0}]
BLOCKS = [{"type": "thinking", "thinking": "Hm.", "signature": "SIG"}]


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_the_upstream_adds_goes_back_to_it_and_to_the_client_whose_call_it_is(is_whole: bool) -> None:
    added = {"reasoning_details": DETAILS, "thinking_blocks": BLOCKS, "odd": {"a": [1, None]}}
    function = {"name": "get_weather", "arguments": '{"a": 1}', "strict": True}
    signed = {**call(0, "get_weather", "{}"), "function": function, **SIGNED}
    message = {"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None, **added}
    if is_whole:
        answer = Answer(CLIENT_TOOLS)
        choice = {"message": {**message, "tool_calls": [signed]}, "finish_reason": "tool_calls"}
        shown = [answer.add_chunk(parse_completion(orjson.dumps({"choices": [choice]}))), answer.rest()]
        deltas = [delta.delta for delta in shown if delta]
    else:
        answer, streamed_deltas = streamed([message, {"tool_calls": [{"index": 0, **signed}]}], "tool_calls")
        deltas = [delta.delta for delta in streamed_deltas]

    assert deltas == [{"tool_calls": [{"index": 0, **signed}]}, added]
    assert answer.message() == {"role": "assistant", "content": None, "tool_calls": [signed], **added}
    assert (answer.client_calls, answer.additions) == ([signed], added)


def test_what_belongs_to_a_servers_call_or_to_a_plain_answer_is_not_shown() -> None:
    plain, shown_of_plain = streamed([{"content": "x", "reasoning_details": DETAILS}])
    own, shown_of_own = streamed(
        [{"reasoning_details": DETAILS}, {"tool_calls": [{"index": 0, **call(0, "paint", "{}"), **SIGNED}]}]
    )

    assert [delta.delta for delta in shown_of_plain] == [{"content": "x"}]
    assert plain.message() == {"role": "assistant", "content": "x"}
    assert shown_of_own == []
    assert own.message()["tool_calls"] == [{**call(0, "paint", "{}"), **SIGNED}]
    assert own.message()["reasoning_details"] == DETAILS


def test_thoughts_in_the_content_go_back_as_they_came() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    answer, shown = streamed(
        [
            {"content": "A "},
            {"content": [thought]},
            {"content": "word"},
            {"content": [{"type": "text", "text": "."}]},
            {"tool_calls": [{"index": 0, **call(0, "paint", "{}")}]},
        ]
    )

    parts = [{"type": "text", "text": "A "}, thought, {"type": "text", "text": "word."}]
    assert answer.message()["content"] == parts
    assert answer.text == "".join(delta.delta["content"] for delta in shown) == "A word."


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"city": "Rome"}, '{"city":"Rome"}'), ({}, "{}"), (None, "{}"), ("", "{}"), ([1], "[1]"), (7, "7")],
)
@pytest.mark.parametrize("is_whole", [True, False])
def test_arguments_that_are_no_text_are_taken_as_their_json(arguments: Any, text: str, is_whole: bool) -> None:
    made = call(0, "get_weather", arguments)
    if is_whole:
        answer = whole({"content": "", "refusal": "", "calls": [("get_weather", arguments)]})
    else:
        answer, shown = streamed([{"tool_calls": [{"index": 0, **made}]}], "tool_calls")
        pieces = [piece["function"]["arguments"] for delta in shown for piece in delta.delta["tool_calls"]]
        assert "".join(pieces) == text

    assert answer.client_calls == [call(0, "get_weather", text)]


def test_the_one_call_of_an_old_server_is_a_call_like_others() -> None:
    answer, _ = streamed(
        [{"function_call": {"name": "get_weather", "arguments": "{"}}, {"function_call": {"arguments": "}"}}],
        "function_call",
    )

    (made,) = answer.client_calls
    assert (made["function"], answer.finish_reason) == ({"name": "get_weather", "arguments": "{}"}, "tool_calls")


def test_only_so_many_calls_are_taken_and_the_answer_counts_as_cut() -> None:
    raw = [{"index": number, **call(number, "get_weather", "{")} for number in range(MOST_CALLS + 2)]
    more = [{"index": number, "function": {"arguments": "}"}} for number in (MOST_CALLS - 1, MOST_CALLS)]
    answer, shown = streamed([{"tool_calls": [piece]} for piece in raw + more], "tool_calls")

    assert len(answer.client_calls) == len(shown) == MOST_CALLS
    assert (answer.left_out_calls, answer.finish_reason) == (2, "length")
    # Which of the calls a later piece continues is not known any more.
    assert answer.client_calls[-1]["function"]["arguments"] == "{"


@pytest.mark.parametrize("name", ["content", "refusal", "reasoning_content"])
def test_a_streamed_answer_has_a_limit(name: str) -> None:
    answer = Answer(CLIENT_TOOLS)
    chunk = {"choices": [{"delta": {name: "x" * (MAX_ANSWER_BYTES // 2)}}]}
    answer.add_chunk(chunk)
    answer.add_chunk(chunk)

    with pytest.raises(ProviderError, match="too long"):
        answer.add_chunk({"choices": [{"delta": {"content": "x"}}]})

    assert answer.delivered_bytes == MAX_ANSWER_BYTES + 1


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("eos_token", "stop"),
        ("", "stop"),
        (None, "stop"),
        ("null", "stop"),
    ],
)
def test_finish_reasons_become_those_that_the_sdks_know(reason: str, shown: str) -> None:
    answer, _ = streamed([{"content": "x"}], reason)

    assert answer.finish_reason == shown


@pytest.mark.parametrize("reason", ["error", "MALFORMED_FUNCTION_CALL", "unheard-of", 7, {"reason": "stop"}])
def test_an_answer_that_did_not_end_well_is_an_error_and_costs_what_was_delivered(reason: Any) -> None:
    answer = Answer(CLIENT_TOOLS)
    answer.add_chunk({"choices": [{"delta": {"content": "x"}}]})
    usage = {"prompt_tokens": 10, "completion_tokens": 5}

    with pytest.raises(ProviderError):
        answer.add_chunk({"choices": [{"delta": {"content": "y"}, "finish_reason": reason}], "usage": usage})

    assert (answer.text, answer.delivered_bytes, answer.usage, answer.is_usage_final) == ("x", 1, None, False)


def test_what_was_cut_stays_cut_whatever_a_later_chunk_says() -> None:
    answer = Answer(CLIENT_TOOLS)

    for reason in ("length", "stop"):
        answer.add_chunk({"choices": [{"delta": {"content": "x"}, "finish_reason": reason}]})

    assert answer.finish_reason == "length"


def test_logprobs_are_kept_and_passed_on() -> None:
    answer = Answer(CLIENT_TOOLS)
    tokens: list[Json] = [{"token": word, "logprob": -0.5, "bytes": None, "top_logprobs": []} for word in ("a", "b")]

    shown = [
        answer.add_chunk({"choices": [{"delta": {"content": token["token"]}, "logprobs": {"content": [token]}}]})
        for token in tokens
    ]

    assert [delta and delta.logprobs for delta in shown] == [{"content": [token]} for token in tokens]
    assert answer.logprobs == {"content": tokens}


def test_logprobs_of_a_token_without_text_are_kept_and_passed_on() -> None:
    answer = Answer(CLIENT_TOOLS)
    token: Json = {"token": "\\xf0", "logprob": -0.5, "bytes": [240], "top_logprobs": []}

    shown = answer.add_chunk({"choices": [{"delta": {"content": ""}, "logprobs": {"content": [token]}}]})

    assert shown == Delta({"content": ""}, {"content": [token]})
    assert answer.logprobs == {"content": [token]}


@pytest.mark.parametrize(
    "chunk", [{}, {"choices": []}, {"choices": None}, {"choices": [{}]}, {"choices": [{"delta": None}]}]
)
def test_empty_chunks_are_ignored(chunk: Json) -> None:
    answer = Answer(CLIENT_TOOLS)

    assert answer.add_chunk(chunk) is None
    assert answer.message() == {"role": "assistant", "content": ""}


odd = st.sampled_from(
    [None, True, 0, -1, 7, "", "call_0", "paint", "text", [], {}, ["a"], {"type": "text", "text": "a"}]
)


def odd_object(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object some of whose members are missing or of the wrong type, or no object at all."""
    return odd | st.fixed_dictionaries({}, optional={name: odd | usual for name, usual in members.items()})


odd_function = odd_object(name=texts, arguments=texts)
odd_calls = st.lists(odd_object(index=st.integers(0, 2), id=texts, function=odd_function), max_size=2)
odd_delta = odd_object(
    content=texts | st.lists(odd, max_size=2), refusal=texts, reasoning_content=texts, tool_calls=odd_calls
)
odd_choices = odd_object(delta=odd_delta, finish_reason=texts, logprobs=odd_object(content=st.lists(odd, max_size=2)))


@given(choices=st.lists(odd_choices, max_size=4))
def test_an_answer_of_any_form_is_understood_or_refused(choices: list[Any]) -> None:
    answer = Answer(CLIENT_TOOLS)
    try:
        shown = [answer.add_chunk({"choices": [choice]}) for choice in choices]
    except ProviderError:
        return

    message = answer.message()
    assert isinstance(message["content"] or "", str)
    assert answer.finish_reason in {"stop", "length", "tool_calls", "content_filter", "function_call"}
    for made in message.get("tool_calls", []):
        assert all(isinstance(value, str) for value in (made["id"], *made["function"].values()))
    assert all(delta is None or orjson.dumps(delta.delta) for delta in shown)


@pytest.mark.parametrize("reason", ["length", "model_length", "max_tokens", "MAX_TOKENS", "max_output_tokens"])
def test_an_answer_that_reached_its_limit_never_passes_for_a_whole_one(reason: str) -> None:
    answer, _ = streamed([{"content": "The answer is for"}], reason)

    assert answer.finish_reason == "length"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("reasoning", [{"text": "Hm.", "signature": "SIG"}, [{"type": "text", "text": "Hm."}]])
def test_reasoning_that_is_no_text_goes_back_with_the_call_as_it_came(name: str, reasoning: Any) -> None:
    answer, _ = streamed([{name: reasoning}, {"tool_calls": [{"index": 0, **call(0, "paint", "{}")}]}], "tool_calls")

    assert answer.message()[name] == reasoning
    assert answer.reasoning == ""
