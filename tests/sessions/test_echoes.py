"""What clients change in messages that they send again."""

import pytest

from tests.sessions.stored import Json, Store, answer, call, continued, result, user


@pytest.mark.parametrize(
    "echo",
    [
        {"content": "Hi  \n", "refusal": None, "annotations": [], "audio": None, "function_call": None},
        {"content": [{"type": "text", "text": "Hi"}]},
        {
            "content": [
                {"type": "text", "text": "H", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "i"},
            ]
        },
        {"content": "Hi", "name": "assistant", "tool_calls": None, "reasoning_content": "I think."},
        {"content": "Hi\n\n[video](https://files.test/a.mp4)"},
        {"content": "Hi", "tool_calls": []},
        {"content": "<think>They greet me.\n</think>\n\nHi"},
    ],
)
def test_what_clients_change_in_an_answer_is_ignored(echo: Json) -> None:
    store = Store()
    store.turn([user("q0")], answer("Hi\n\n![image](https://files.test/a.png)"))

    assert store.turn([user("q0"), {"role": "assistant", **echo}, user("q1")]).asked == [user("q1")]


WRITTEN = "First\n\n- one  \n- two\n\n```py\nx = 1\n```\n"


@pytest.mark.parametrize(
    "shown",
    [
        WRITTEN.replace("\n", "\r\n"),
        WRITTEN.replace("\n\n", "\n"),
        WRITTEN.replace("  \n", "\n"),
        " ".join(WRITTEN.split()),
        WRITTEN.replace(" ", "\u00a0"),
    ],
    ids=["CR LF", "no blank lines", "no space before line ends", "one line", "spaces that do not break"],
)
@pytest.mark.parametrize("thought", ["", "<think>\nHm.\n</think>\n\n"])
def test_white_space_within_an_answer_and_thoughts_before_it_make_no_difference(shown: str, thought: str) -> None:
    store = Store()
    store.turn([user("q0\r\nq")], answer(thought + WRITTEN))

    again = store.turn([user("q0\nq"), answer(shown), user("q1")])

    assert list(again.asked) == [user("q1")]
    # The model still reads what it has written, and what the client has sent.
    assert [message["content"] for message in again.history] == ["q0\nq", thought + WRITTEN]


def test_an_answer_that_only_begins_with_a_thought_that_never_ends_is_compared_as_it_is() -> None:
    store = Store()
    store.turn([user("q0")], answer("<think>Hm. Hi"))

    assert list(store.turn([user("q0"), answer("Hi"), user("q1")]).asked) != [user("q1")]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "Look "}, {"type": "image_url", "image_url": {"detail": None, "url": "data:x"}}],
        [{"type": "text", "text": "Look "}, {"image_url": {"url": "data:x"}, "type": "image_url", "cache_control": {}}],
        [{"type": "text", "text": "Look "}, {"type": "image_url", "image_url": {"url": "data:x", "detail": "auto"}}],
    ],
)
def test_pictures_are_compared_by_what_they_hold(content: list[Json]) -> None:
    store = Store()
    picture = [{"type": "text", "text": "Look "}, {"type": "image_url", "image_url": {"url": "data:x"}}]
    store.turn([user(picture)], answer("A cat"))

    again = store.turn([user(content), answer("A cat"), user("q1")])
    other = continued(store.in_force, [user([*content[:1]]), answer("A cat"), user("q1")])

    assert list(again.asked) == [user("q1")]
    assert len(other.asked) == 3


def test_what_a_client_adds_to_its_messages_goes_on_to_the_model() -> None:
    store = Store()
    store.turn(
        [user("q0")], answer("Hm", tool_calls=[call("s1", "replicate_generate", "{}"), call("c1")]), result("s1")
    )
    marked = {"type": "text", "text": "q0", "cache_control": {"type": "ephemeral"}}
    signed = {**call("mine"), "extra_content": {"signature": "abc"}}
    thought: Json = {"reasoning_content": "I think", "refusal": None, "annotations": []}

    sent = [user([marked]), answer("Hm", tool_calls=[signed], **thought), result("mine", "sun")]
    continuation = continued(store.in_force, sent)

    question, said_then, _ = continuation.history
    assert question == user([marked])
    assert said_then == answer(
        "Hm",
        tool_calls=[call("s1", "replicate_generate", "{}"), {**signed, "id": "c1"}],
        reasoning_content="I think",
    )
    assert list(continuation.messages) == [result("c1", "sun")]


def test_an_answer_with_another_text_beside_its_calls_differs() -> None:
    store = Store()
    store.turn([user("q0")], answer("Let me look", tool_calls=[call("c1")]))

    store.turn([user("q0"), answer("Let me", tool_calls=[call("c2")]), result("c2"), user("q1")])

    assert store.texts == ["q0", "Let me", "rain", "q1"]
