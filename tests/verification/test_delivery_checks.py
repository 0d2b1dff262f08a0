"""Whatever was delivered has been metered: the files of content, and the answers of turns."""

import pytest

from tests.verification.books import Books

_COMPLETE = """
UPDATE generations SET status = 'completed', content_type = 'video', credit_cost = 0.5, completed_at = now()
WHERE id = '{content}'
"""
_OUTPUT = """
INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type, size_bytes, sha256)
VALUES ('{content}', 0, {position}, '{content}_{position}', 'video', 'video/mp4', {size}, {hash})
"""
_MESSAGE = """
WITH session AS (
    INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed)
    SELECT gen_random_uuid(), '{org}', user_id, 'test', 1, false
    FROM memberships WHERE organization_id = '{org}' LIMIT 1
    RETURNING id
)
INSERT INTO messages (session_id, turn_id, role, content, agent)
SELECT id, '{turn}', 'assistant', '"{text}"', {agent} FROM session
"""


@pytest.fixture
async def completed(books: Books) -> Books:
    """Books whose content is completed with two files, and charged."""
    for position in range(2):
        await books.plant(_OUTPUT, position=position, size="1", hash="repeat('0', 64)")
    # What is not verified was never delivered.
    await books.plant(_OUTPUT, position=2, size="NULL", hash="NULL")
    await books.plant(_COMPLETE)
    await books.settle_content(outputs=2)
    return books


async def answer(books: Books, turn: str, *, text: str = "Hello", agent: str = "'main'") -> None:
    """Store an answer of the turn."""
    await books.plant(_MESSAGE, turn=turn, text=text, agent=agent)


async def test_a_content_that_was_charged_for_its_files_is_right(completed: Books) -> None:
    assert await completed.faults() == []


@pytest.mark.parametrize("delivered", [1, 3])
async def test_a_content_with_other_files_than_its_event_says_is_found(completed: Books, delivered: int) -> None:
    if delivered == 1:
        await completed.plant("DELETE FROM outputs WHERE generation_id = '{content}' AND position = 1")
    else:
        await completed.plant(
            "UPDATE outputs SET size_bytes = 1, sha256 = repeat('0', 64)"
            " WHERE generation_id = '{content}' AND position = 2"
        )

    assert await completed.faults() == [f"content {{content}}: completed with {delivered} files, but its event says 2"]


async def test_a_content_that_was_metered_and_is_not_completed_is_found(completed: Books) -> None:
    await completed.plant(
        "UPDATE generations SET status = 'failed', credit_cost = 0, error_message = 'x' WHERE id = '{content}'"
    )

    assert await completed.faults() == [
        "content {content}: it is failed, but was charged 0.500000",
        "content {content}: it is failed, but a generation was metered for it",
    ]


async def test_a_content_that_was_completed_without_an_event_is_found(completed: Books) -> None:
    await completed.plant("DELETE FROM metering_events WHERE call_id = 'generation:{content}:0'")

    assert "generation:{content}:0: charged 0.500000 without an event" in await completed.faults()


async def test_a_free_content_that_was_completed_without_a_charge_is_found(completed: Books) -> None:
    await completed.plant("UPDATE generations SET credit_cost = 0 WHERE id = '{content}'")
    await completed.plant("DELETE FROM metering_events WHERE call_id = 'generation:{content}:0'")
    await completed.plant(
        """
        WITH hold AS (UPDATE credit_holds SET state = 'voided', charged = NULL
                      WHERE reference = 'generation:{content}:0'),
             entry AS (DELETE FROM ledger_entries WHERE reference = 'generation:{content}:0' RETURNING amount)
        UPDATE credit_accounts SET balance = balance - amount FROM entry WHERE organization_id = '{org}'
        """
    )

    assert await completed.faults() == ["content {content}: completed for 0.000000, but charged nothing"]


@pytest.mark.parametrize("costs", [["0.1"], ["0"], []])
async def test_an_answer_needs_an_event(books: Books, costs: list[str]) -> None:
    await books.hold("turn", calls=1)
    await books.settle("turn", *costs)
    await answer(books, "{org}")

    faults = await books.faults()

    assert faults == ([] if costs else ["turn:{org}: it answered, but no model call was metered for it"])


async def test_an_event_without_tokens_is_not_that_of_an_answer(books: Books) -> None:
    await books.hold("turn", calls=1)
    await books.settle("turn", "0")
    await books.plant("UPDATE metering_events SET prompt_tokens = NULL WHERE hold_reference = 'turn:{org}'")
    await answer(books, "{org}")

    assert "turn:{org}: it answered, but no model call was metered for it" in await books.faults()


async def test_an_answer_without_a_hold_is_found(books: Books) -> None:
    await answer(books, "{org}")

    assert await books.faults() == ["turn:{org}: it answered, but nothing was held for it"]


@pytest.mark.parametrize(("text", "agent"), [("Hello", "NULL"), ("", "'main'")])
async def test_what_no_model_has_said_needs_no_event(books: Books, text: str, agent: str) -> None:
    await answer(books, "{org}", text=text, agent=agent)

    assert await books.faults() == []


async def test_an_answer_is_no_fault_while_its_turn_runs(books: Books) -> None:
    await books.hold("turn", calls=1)
    await answer(books, "{org}")

    assert await books.faults() == []


async def test_an_answer_that_is_older_than_events_is_no_fault(books: Books) -> None:
    await books.hold("turn")
    await books.settle("turn")
    await answer(books, "{org}")

    assert await books.faults() == []
