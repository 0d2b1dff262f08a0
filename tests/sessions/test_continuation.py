"""How a request continues a session, for any conversation."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sessions.continuation import Continuation, continue_from
from app.sessions.messages import StoredMessage
from tests.sessions.stored import Json, Store, answer, call, continued, result, said, system, user


def seen(continuation: Continuation) -> list[Any]:
    """What the model sees, if nothing is left out: the contents."""
    return [message["content"] for message in (*continuation.leading, *continuation.history, *continuation.messages)]


def talk(count: int) -> list[Json]:
    """A conversation of so many questions, all answered but the last."""
    messages = [message for number in range(count) for message in (user(f"q{number}"), answer(f"a{number}"))]
    return messages[:-1]


def stored_talk(count: int) -> Store:
    """The session of a client that has sent the conversation again with each question, and has all answers."""
    store = Store()
    for number in range(1, count + 1):
        store.turn([system("Be kind."), *talk(number)], answer(f"a{number - 1}"))
    return store


def test_a_conversation_that_is_sent_again_is_stored_once() -> None:
    store = stored_talk(4)

    assert store.texts == ["Be kind.", "q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]
    assert not store.superseded
    assert seen(store.turn([system("Be kind."), *talk(5)])) == ["Be kind.", *(each["content"] for each in talk(5))]


@pytest.mark.parametrize(
    "sent",
    [
        [user("q0")],
        [user("q3")],
        [system("Be kind."), user("q0")],
        [user("q0"), user("q1")],
        [user("a0")],
        [answer("a1")],
        [user("q0"), answer("another"), user("q1")],
        [system("Be kind.")],
        [result("call-1")],
    ],
)
def test_a_request_without_a_stored_answer_before_its_end_is_new(sent: list[Json]) -> None:
    store = stored_talk(2)
    before = store.texts

    continuation = store.turn(sent)

    assert (continuation.asked, continuation.superseded) == (sent, ())
    assert seen(continuation) == [*before, *(message["content"] for message in sent)]


def test_all_stored_messages_and_another_one_send_a_question_again_that_has_no_answer() -> None:
    store = Store()
    store.turn([user("q0")])

    assert store.turn([user("q0")]).asked == [user("q0")]
    assert store.turn([user("q0"), user("q0"), user("q1")]).asked == [user("q1")]


@pytest.mark.parametrize(
    ("sent", "in_force"),
    [
        ([user("q0"), answer("a0"), user("other")], ["q0", "a0", "other"]),
        ([user("other"), answer("a0"), user("q1"), answer("a1"), user("q2")], ["other", "a0", "q1", "a1", "q2"]),
        ([user("q0"), answer("other"), user("q1"), answer("a1"), user("q2")], ["q0", "other", "q1", "a1", "q2"]),
        ([user("q0"), answer("a0"), user("q1")], ["q0", "a0", "q1"]),
        ([user("q0"), answer("a0"), user("q1"), answer("a"), user("q2")], ["q0", "a0", "q1", "a", "q2"]),
        (
            [user("q0"), answer("a0"), user("x"), user("q1"), answer("a1"), user("y")],
            ["q0", "a0", "x", "q1", "a1", "y"],
        ),
        ([user("q0"), answer("a1"), user("q2")], ["q0", "a1", "q2"]),
        ([user("q2"), answer("a2"), user("q3")], ["q0", "a0", "q1", "a1", "q2", "a2", "q3"]),
        ([answer("a2"), user("q3")], ["q0", "a0", "q1", "a1", "q2", "a2", "q3"]),
        ([user("q1"), answer("a1"), user("other")], ["q0", "a0", "q1", "a1", "other"]),
    ],
)
def test_what_is_stored_beyond_a_difference_is_superseded(sent: list[Json], in_force: list[str]) -> None:
    """Edited questions and answers, regenerated and interrupted answers, and clients that send the end only."""
    store = Store()
    for number in range(1, 4):
        store.turn(talk(number), answer(f"a{number - 1}"))
    listed = len(store.rows)

    continuation = store.turn(sent)

    assert store.texts == seen(continuation) == in_force
    assert [row.content for row in store.rows[:listed]] == ["q0", "a0", "q1", "a1", "q2", "a2"]
    # The same request once more adds nothing.
    assert list(store.turn(sent).asked) == []
    assert store.texts == in_force


@pytest.mark.parametrize("heard", ["One, two", "One, two…", "One, two ...", ""])
def test_the_first_answer_may_come_back_cut_short(heard: str) -> None:
    store = Store()
    store.turn([user("Count")], answer("One, two, three"))

    store.turn([user("Count"), answer(heard), user("Stop")], answer("Yes"))
    store.turn([user("Count"), answer(heard), user("Stop"), answer("Yes"), user("Bye")])

    assert store.texts == ["Count", heard, "Stop", "Yes", "Bye"]


def test_calls_and_results_of_the_servers_tools_stay_in_the_history() -> None:
    """The client has seen one answer of this turn: its texts, and the call of its own tool."""
    drawn = [
        answer("One moment", tool_calls=[call("s1", "replicate_generate", "{}")]),
        result("s1", "a picture"),
        answer("Now the weather", tool_calls=[call("s2", "replicate_generate", "{}"), call("c1")]),
        result("s2", "another picture"),
    ]
    store = Store()
    store.turn([user("q0")], *drawn)
    changed = call("other-id", arguments='{"unit": "C", "city": "Oslo"}')

    for text in ("One moment\n\nNow the weather", None):
        shown = answer(text, tool_calls=[changed])
        continuation = continued(store.in_force, [user("q0"), shown, result("other-id")])

        assert list(continuation.asked) == [result("c1")]
        assert list(continuation.history) == [user("q0"), *drawn]
        assert list(continuation.messages) == [result("c1")]
        assert (continuation.first_index, continuation.superseded) == (2, [])


def test_a_system_prompt_that_changes_is_sent_once_and_first() -> None:
    store = Store()
    for number in range(1, 4):
        continuation = store.turn([system(f"It is {number} o'clock."), *talk(number)], answer(f"a{number - 1}"))
        assert seen(continuation) == [f"It is {number} o'clock.", *(each["content"] for each in talk(number))]

    assert [row.content for row in store.rows if row.role == "system"] == [f"It is {n} o'clock." for n in (1, 2, 3)]
    assert len(store.rows) == 3 + 6
    assert len(store.superseded) == 2
    # One of another role that says the same is the same.
    assert store.turn([said("developer", "It is 3 o'clock."), *talk(4)]).superseded == []


def test_system_messages_in_between_keep_their_places() -> None:
    store = stored_talk(2)
    note = system("The user is in a hurry.")

    first = store.turn([system("Be kind."), *talk(2), answer("a1"), note, user("q2")], answer("a2"))
    again = store.turn([system("Be kind."), *talk(2), answer("a1"), note, user("q2"), answer("a2"), user("q3")])
    without = store.turn([system("Be kind."), *talk(3), answer("a2"), user("q3"), user("q4")])

    assert list(first.asked) == [note, user("q2")]
    assert list(again.asked) == [user("q3")]
    assert seen(again) == ["Be kind.", "q0", "a0", "q1", "a1", note["content"], "q2", "a2", "q3"]
    assert (list(without.asked), len(without.superseded)) == ([user("q4")], 1)


def test_a_client_that_sends_the_end_of_a_conversation_keeps_its_prompt() -> None:
    store = stored_talk(3)

    kept = continued(store.in_force, [user("q2"), answer("a2"), user("q3")])
    replaced = continued(store.in_force, [system("Be brief."), user("q2"), answer("a2"), user("q3")])

    assert seen(kept) == ["Be kind.", *(each["content"] for each in talk(4))]
    assert seen(replaced) == ["Be brief.", *(each["content"] for each in talk(4))]
    assert [len(each.superseded) for each in (kept, replaced)] == [0, 1]


def test_the_longest_of_several_runs_decides() -> None:
    store = Store()
    for number, words in enumerate(("hi", "hi", "bye")):
        sent = [message for word in ("hi", "hi", "bye")[:number] for message in (user(word), answer("ok"))]
        store.turn([*sent, user(words)], answer("ok"))

    assert store.texts == ["hi", "ok", "hi", "ok", "bye", "ok"]
    longest = continued(store.in_force, [user("hi"), answer("ok"), user("bye"), answer("ok"), user("new")])
    assert list(longest.asked) == [user("new")]
    edited = continued(store.in_force, [user("hi"), answer("ok"), user("new")])
    assert (list(edited.asked), len(edited.superseded)) == ([user("new")], 4)


WORDS = st.sampled_from(["yes", "no", "yes "])
MESSAGES = st.one_of(
    st.builds(user, WORDS),
    st.builds(answer, WORDS),
    st.builds(system, WORDS),
    st.builds(lambda text: answer(text, tool_calls=[call("c")]), WORDS),
)


@given(turns=st.lists(st.tuples(st.lists(MESSAGES, min_size=1, max_size=8), MESSAGES), max_size=6))
def test_a_request_is_never_lost_and_its_question_comes_last(turns: list[tuple[list[Json], Json]]) -> None:
    store = Store()
    for sent, said_then in turns:
        before = store.texts

        continuation = store.turn(sent, answer(said_then["content"]))

        shown = seen(continuation)
        if continuation.superseded or len(continuation.asked) < len(sent):
            # Sent again: what the model sees ends like the request.
            of_talk = [message["content"].strip() for message in sent if message["role"] != "system"]
            system_left_out = [
                message["content"].strip()
                for message in (*continuation.history, *continuation.messages)
                if message["role"] != "system"
            ]
            assert system_left_out[-len(of_talk) :] == of_talk
        else:
            assert shown == [*before, *(message["content"] for message in sent)]


async def test_others_go_on_while_a_long_conversation_is_compared() -> None:
    rows = [
        StoredMessage(index, f"turn-{index}", None, role, f"message {index}", None, None, None)
        for index, role in enumerate(["user", "assistant"] * 10_000)
    ]
    sent = [{"role": row.role, "content": row.content} for row in rows]
    rounds = 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    continuation = await continue_from(rows, [*sent, user("new")])
    task.cancel()

    assert list(continuation.asked) == [user("new")]
    assert rounds > 3
