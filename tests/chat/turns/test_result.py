"""The result of a turn that is stored for an Idempotency-Key."""

from datetime import UTC, datetime

import orjson

from app.chat.turns.result import TurnContent, TurnIdentity, TurnResult
from app.chat_models.protocol import Usage
from app.generations.media_types import ContentType
from app.generations.states import Status

RESULT = TurnResult(
    turn=TurnIdentity("turn-1", datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "agent/poet", None, "sess-1"),
    message={"role": "assistant", "content": None, "tool_calls": [{"id": "call-1", "function": {"name": "lamp"}}]},
    finish_reason="tool_calls",
    logprobs={"content": [{"token": "a", "logprob": -0.1}]},
    usage=Usage(3, 4),
    contents=[
        TurnContent("1", Status.COMPLETED, ContentType.IMAGE, "http://localhost/1.png", ("http://localhost/1_2.png",)),
        TurnContent("2", Status.FAILED, None, None),
    ],
    links="![image](http://localhost/1.png)",
)


def test_a_stored_result_is_read_back_as_it_was() -> None:
    stored = orjson.loads(orjson.dumps(RESULT.to_json()))

    assert TurnResult.from_json(stored) == RESULT


def test_a_result_that_an_older_version_has_stored_has_no_links() -> None:
    stored = orjson.loads(orjson.dumps(RESULT.to_json()))
    del stored["links"], stored["contents"][0]["further_urls"]

    read = TurnResult.from_json(stored)

    assert (read.links, read.contents[0].further_urls) == ("", ())


def test_a_stored_result_keeps_the_order_of_a_messages_fields() -> None:
    stored = orjson.loads(orjson.dumps(RESULT.to_json()))

    assert list(TurnResult.from_json(stored).message) == ["role", "content", "tool_calls"]
