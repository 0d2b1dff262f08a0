"""What an answer shows of the generations of its turn if it calls a tool of the client's: pure functions."""

from typing import Any

import pytest

from app.agents.runtime.agent_run import Said
from app.agents.runtime.events import Finished
from app.chat.turns.links import missing_links, transcript_with_links, with_links
from app.chat.turns.result import TurnContent
from app.generations.media_types import ContentType
from app.generations.states import Status

CALLS = [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]
URL = "https://files.test/1.png"
IMAGE = TurnContent("id-1", Status.COMPLETED, ContentType.IMAGE, URL)


def answer(text: str | None, *, calls: bool = True) -> Finished:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    return Finished(message | ({"tool_calls": CALLS} if calls else {}), "tool_calls" if calls else "stop")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (IMAGE, f"![image]({URL})"),
        (TurnContent("2", Status.COMPLETED, ContentType.VIDEO, "u", ("v",)), "[video](u)\n\n[video](v)"),
        (TurnContent("3", Status.COMPLETED, ContentType.GLB, "u"), "[3D model](u)"),
        (TurnContent("4", Status.COMPLETED, ContentType.AUDIO, "u"), "[audio](u)"),
        (TurnContent("5", Status.COMPLETED, ContentType.OTHER, "u"), "[file](u)"),
        (TurnContent("6", Status.PENDING, None, None), "(The generation of content 6 has not ended yet.)"),
        (TurnContent("7", Status.PROCESSING, None, None), "(The generation of content 7 has not ended yet.)"),
        (TurnContent("8", Status.FAILED, None, None), "(The generation of content 8 has failed.)"),
    ],
)
def test_a_generation_is_shown_by_its_links_or_its_state(content: TurnContent, shown: str) -> None:
    assert missing_links(answer(None), [content]) == shown
    assert missing_links(answer("Well"), [content, content]) == f"\n\n{shown}\n\n{shown}"


@pytest.mark.parametrize(
    ("finished", "contents"),
    [
        (answer("Well", calls=False), [IMAGE]),
        (answer("Well"), []),
        (answer(f"See ![it]({URL})"), [IMAGE]),
    ],
)
def test_nothing_is_added_to_an_answer_that_hides_nothing(finished: Finished, contents: list[TurnContent]) -> None:
    assert missing_links(finished, contents) == ""
    assert with_links(finished, "") is finished


@pytest.mark.parametrize(("earlier", "last"), [(None, None), ("One", None), (None, "Two"), ("One", "Two")])
def test_the_stored_messages_join_to_what_the_client_gets(earlier: str | None, last: str | None) -> None:
    texts = [text for text in (earlier, last) if text]
    finished = answer("\n\n".join(texts) or None)
    links = missing_links(finished, [IMAGE])
    asked: Said = (None, {"role": "assistant", "content": "Mine", "tool_calls": CALLS})
    said: list[Said] = [
        ("host", {"role": "assistant", "content": earlier, "tool_calls": CALLS}),
        ("host", {"role": "tool", "tool_call_id": "c1", "content": "done"}),
        ("host", {"role": "assistant", "content": last, "tool_calls": CALLS}),
        ("host", {"role": "tool", "tool_call_id": "c2", "content": "done"}),
    ]

    stored = transcript_with_links([asked, *said], links)

    assert stored[0] == asked
    assert [message.get("tool_calls") for _, message in stored[1:]] == [CALLS, None, CALLS, None]
    kept = [message["content"] for _, message in stored[1:] if message["role"] == "assistant" and message["content"]]
    assert "\n\n".join(kept) == with_links(finished, links).message["content"]
    assert said[2][1]["content"] == last
