"""Tool calls in the pieces that servers of all kinds send: the client gets the same calls, and so does the model."""

from typing import Any

import pytest

from app.agents.runtime.answer import Answer

TOOLS = {"get_weather", "get_time", "get"}
OSLO, ROME = '{"city": "Oslo"}', '{"city": "Rome"}'

Json = dict[str, Any]


def piece(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> Json:
    """A piece of a call, without what is None."""
    given = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    function = {key: value for key, value in given.pop("function").items() if value is not None}
    return {**{key: value for key, value in given.items() if value is not None}, "function": function}


def shown(answer: Answer, deltas: list[list[Any]], finish_reason: str) -> list[tuple[str, str, str]]:
    """The id, name and arguments of each call, put together as SDKs do."""
    chunks: list[Json] = [{"delta": {"tool_calls": calls}} for calls in deltas]
    chunks.append({"delta": {}, "finish_reason": finish_reason})
    parts = [answer.add_chunk({"choices": [chunk]}) for chunk in chunks]
    calls: dict[int, list[str]] = {}
    for delta in [*parts, answer.rest()]:
        for call in delta.delta.get("tool_calls", []) if delta else []:
            known = calls.setdefault(call["index"], ["", "", ""])
            new = [call.get("id", ""), call["function"].get("name", ""), call["function"].get("arguments", "")]
            known[:] = [before + more for before, more in zip(known, new, strict=True)]
    return [(call_id, name, arguments) for call_id, name, arguments in calls.values()]


ONE = {
    "the name cut": [[piece(0, "a", "get_")], [piece(0, None, "wea", "")], [piece(0, None, "ther")]],
    "the name growing": [[piece(0, "a", "get")], [piece(0, "a", "get_wea", "")], [piece(0, "a", "get_weather")]],
    "the name after the id": [[piece(0, "a")], [piece(0, "", "get_weather")]],
    "the name again in each piece": [[piece(0, "a", "get_weather", "")], [piece(0, "", "get_weather", "")]],
    "the name with blanks": [[piece(0, "a", " get_weather\n")]],
    "nothing of an earlier entry of the list": [[piece(0, "a", "get_weather")], [None, None]],
    "an empty object first": [[piece(0, "a", "get_weather", "{}")]],
    "an empty object as a value first": [[piece(0, "a", "get_weather", {})]],
    "an announcement without anything": [[{}], [piece(0, "a", "get_weather")]],
    "an index as a float": [[piece(0.0, "a", "get_weather")]],
}


@pytest.mark.parametrize("opening", ONE.values(), ids=ONE.keys())
@pytest.mark.parametrize(
    "arguments",
    [
        [piece(0, None, None, OSLO)],
        [piece(0, None, None, OSLO[:5]), piece(0, None, None, OSLO[5:])],
        [piece(None, None, None, OSLO[:5]), piece(None, None, None, OSLO[5:])],
        [piece(0, "a", "get_weather", OSLO[:5]), piece(0, "a", "get_weather", OSLO[5:])],
        [piece(0, None, None, OSLO), piece(0, "a", "get_weather", OSLO)],
        [piece(3, "a", None, OSLO)],
        [piece("0", None, None, OSLO)],
    ],
)
def test_a_call_in_odd_pieces_is_one_call(opening: list[list[Any]], arguments: list[Json]) -> None:
    answer = Answer(TOOLS)

    ((call_id, name, written),) = shown(answer, [*opening, *([each] for each in arguments)], "tool_calls")

    assert (name, written) == ("get_weather", OSLO)
    assert [(call["id"], call["function"]) for call in answer.client_calls] == [
        (call_id, {"name": "get_weather", "arguments": OSLO})
    ]
    assert answer.server_calls == []
    assert answer.delivered_bytes >= len("get_weather") + len(OSLO)


TWO = {
    "no ids and the index 0": [[piece(0, "", "get_weather", OSLO)], [piece(0, "", "get_time", "{}")]],
    "no ids and no index": [[piece(None, None, "get_weather", OSLO)], [piece(None, None, "get_time", "{}")]],
    "no ids and no index in one delta": [[piece(None, None, "get_weather", OSLO), piece(None, None, "get_time", "{}")]],
    "no arguments and no ids in one delta": [
        [piece(0, None, "get_time"), piece(0, None, "get_weather", OSLO)],
    ],
    "the same id": [[piece(0, "a", "get_weather", OSLO)], [piece(0, "a", "get_time", "{}")]],
    "numbers as ids": [[piece(0, 7, "get_weather", OSLO)], [piece(0, 8, "get_time", "{}")]],
    "pieces without ids": [
        [piece(None, None, "get_weather", "")],
        [piece(None, None, None, OSLO[:5])],
        [piece(None, None, "", OSLO[5:])],
        [piece(None, None, "get_time", "{")],
        [piece(None, None, None, "}")],
    ],
    "indexes as floats, interleaved": [
        [piece(0.0, "a", "get_weather", ""), piece(1.0, "b", "get_time", "")],
        [piece(0.0, None, None, OSLO[:5]), piece(1.0, None, None, "{")],
        [piece(0.0, None, None, OSLO[5:]), piece(1.0, None, None, "}")],
    ],
}


@pytest.mark.parametrize("deltas", TWO.values(), ids=TWO.keys())
def test_two_calls_are_kept_apart(deltas: list[list[Any]]) -> None:
    answer = Answer(TOOLS)

    calls = shown(answer, deltas, "stop")

    assert sorted((name, written) for _, name, written in calls) == [("get_time", "{}"), ("get_weather", OSLO)]
    assert len({call_id for call_id, _, _ in calls}) == 2
    assert [call["id"] for call in answer.client_calls] == [call_id for call_id, _, _ in calls]


@pytest.mark.parametrize("index", [0, None])
def test_two_calls_of_one_tool_without_ids_are_kept_apart_by_their_arguments(index: int | None) -> None:
    deltas = [[piece(index, None, "get_weather", OSLO)], [piece(index, None, "get_weather", ROME)]]

    calls = shown(Answer(TOOLS), deltas, "tool_calls")

    assert [(name, written) for _, name, written in calls] == [("get_weather", OSLO), ("get_weather", ROME)]


@pytest.mark.parametrize("finish_reason", ["tool_calls", "length"])
def test_a_call_of_a_tool_whose_name_begins_anothers_is_shown_at_the_latest_with_the_end(finish_reason: str) -> None:
    answer = Answer(TOOLS)

    ((_, name, written),) = shown(answer, [[piece(0, "a", "get", "")]], finish_reason)

    assert (name, written) == ("get", "" if finish_reason == "length" else "{}")
    assert answer.client_calls[0]["function"] == {"name": name, "arguments": written}


def test_an_empty_object_is_not_lost_if_the_answer_is_cut_behind_it() -> None:
    answer = Answer(TOOLS)

    ((_, _, written),) = shown(answer, [[piece(0, "a", "get_time", "{}")]], "length")

    assert written == "{}"
    assert answer.client_calls[0]["function"]["arguments"] == "{}"


def test_an_announcement_of_a_call_that_never_came_is_none() -> None:
    answer = Answer(TOOLS)

    assert shown(answer, [[{}], [piece(0, "a")]], "stop") == []
    assert (answer.client_calls, answer.server_calls) == ([], [])
    assert answer.message() == {"role": "assistant", "content": ""}


def test_a_call_without_a_name_goes_back_with_one_because_providers_refuse_others() -> None:
    answer = Answer(TOOLS)

    assert shown(answer, [[piece(0, "a", "", OSLO)]], "tool_calls") == []
    assert answer.server_calls[0]["function"] == {"name": "unnamed", "arguments": OSLO}
