"""What is kept of responses, for requests that name it instead of sending it.

Some clients send of what the model has said only ids, and others send calls without what the model needs back of them.
"""

from collections.abc import Mapping
from typing import Any

from app.chat.responses.input_items import Conversation, read_input
from app.chat.responses.output import response_of_item
from app.chat.responses.thoughts import put_back
from app.chat_models.protocol import JsonObject
from app.core.database import Database
from app.kept_responses import service as kept_responses
from app.kept_responses.errors import ItemNotFoundError
from app.kept_responses.keeping import Kept, Owner


async def with_kept_items(database: Database, owner: Owner, read: Conversation) -> Conversation:
    """The conversation with the items that it refers to, and with what the model needs back of its calls.

    Nothing is read from Postgres if it has neither references nor calls that were made here.

    Raises:
        ItemNotFoundError: the owner has no kept response with an item that is referred to.
    """
    named = {response_of_item(item_id) for _, item_id in read.references} - {None}
    found = await kept_responses.find_responses(database, owner, sorted({*read.made_here, *filter(None, named)}))
    if read.references:
        items = list(read.given)
        for index, item_id in read.references:
            items[index] = _item(found, item_id, index)
        read = read_input(items)
    for kept in found.values():
        if kept.thoughts:
            put_back(kept.thoughts, read.messages)
    return read


def _item(found: Mapping[str, Kept], item_id: str, index: int) -> JsonObject:
    kept = found.get(response_of_item(item_id) or "")
    items: list[dict[str, Any]] = kept.response["output"] if kept else []
    for item in items:
        if item["id"] == item_id:
            return item
    raise ItemNotFoundError(param=f"input.{index}.id")


def kept_input(given: Any, turn_id: str) -> list[JsonObject]:
    """The items of an input as they are kept: each with a type and an id. A text is a message."""
    if isinstance(given, str):
        given = [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    suffix = turn_id.removeprefix("turn-")
    return [
        {"type": "message", **item, "id": _text(item.get("id")) or f"in_{suffix}_{index}"}
        for index, item in enumerate(given)
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
