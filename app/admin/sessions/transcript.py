"""A session's messages as its transcript shows them: pure functions over what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import orjson

from app.admin.prose import Block, Piece, blocks_of, cut
from app.admin.sessions.thumbnails import MediaView
from app.admin.sessions.turn_rows import MessageRow

# In characters. What is left out of a message can be opened on a page of its own.
MOST_OF_A_TEXT: Final = 4000
_MOST_OF_A_PAGE: Final = 40_000
_LEAST_OF_A_TEXT: Final = 300
_MOST_OF_A_CALL: Final = 1500
_MOST_CALLS: Final = 32
_PARTS: Final[Mapping[str, str]] = {"image_url": "image", "input_audio": "sound", "file": "file"}
_AUTHORS: Final[Mapping[str, str]] = {
    "user": "User",
    "system": "System",
    "developer": "Developer",
    "tool": "Tool result",
    "assistant": "Assistant",
}


@dataclass(frozen=True)
class CallView:
    """A tool call with its result.

    Attributes:
        result: what the tool returned; None if a client's tool has been called, or it never returned.
    """

    id: str
    name: str
    arguments: str
    result: str | None


@dataclass(frozen=True)
class SaidView:
    """One message.

    Attributes:
        position: its number in the session, from 0.
        author: who has written it, in a word.
        blocks: its text.
        sent: what a client has sent beside the text, in words: `1 image`.
        calls: the tools that it calls.
        rest: how many characters of it are left out.
        is_folded: whether it is shown folded: how the model is told to behave.
        is_hidden: whether it is too large to be shown here at all.
    """

    position: int
    author: str
    role: str
    at: datetime
    blocks: Sequence[Block]
    sent: str
    calls: Sequence[CallView]
    rest: int
    size_bytes: int
    is_folded: bool
    is_hidden: bool


@dataclass(frozen=True)
class TurnView:
    """Consecutive messages of one turn.

    Attributes:
        said: those that models still see.
        replaced: those that a later request has replaced.
        media: the contents that the turn has made, if its last messages are here.
    """

    id: str
    at: datetime
    said: Sequence[SaidView]
    replaced: Sequence[SaidView]
    media: Sequence[MediaView]


def transcript_of(
    rows: Sequence[MessageRow], media: Mapping[str, Sequence[MediaView]], *, is_whole: bool = False
) -> list[TurnView]:
    """The turns on one page of a session, oldest first.

    The newest messages are shown in full; once the page is full, the older ones with their beginnings. With `is_whole`
    everything is shown that was read.
    """
    limits = {row.position: len(_text_of(row)) for row in rows} if is_whole else _limits(rows)
    turns = [_turn_view(turn_id, list(group), limits) for turn_id, group in groupby(rows, key=lambda row: row.turn_id)]
    last = {turn.id: index for index, turn in enumerate(turns)}
    return [
        replace(turn, media=media.get(turn.id, ())) if last[turn.id] == index else turn
        for index, turn in enumerate(turns)
    ]


def title_of(text: str | None, parts: Sequence[str], message_count: int) -> str:
    """The first words of a session as its title."""
    words = " ".join((text or "").split())
    if words:
        return cut(words, 120)
    if sent := sent_words(parts):
        return f"(no text, {sent} sent)"
    return "(no text)" if message_count else "(nothing said yet)"


def sent_words(kinds: Sequence[str]) -> str:
    """What a message has beside its text, such as `2 images and 1 file`."""
    names = [_PARTS.get(kind, "part") for kind in kinds if kind not in {"text", "refusal"}]
    counted = [(names.count(name), name) for name in dict.fromkeys(names)]
    return " and ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counted)


def _limits(rows: Sequence[MessageRow]) -> dict[int, int]:
    """How many characters of each message are shown."""
    limits: dict[int, int] = {}
    left = _MOST_OF_A_PAGE
    for row in reversed(rows):
        limits[row.position] = max(_LEAST_OF_A_TEXT, min(MOST_OF_A_TEXT, left))
        left -= min(len(_text_of(row)), limits[row.position])
    return limits


def _turn_view(turn_id: str, rows: Sequence[MessageRow], limits: Mapping[int, int]) -> TurnView:
    results = {row.tool_call_id: row for row in rows if row.role == "tool" and row.agent is not None}
    called = {call.get("id") for row in rows for call in row.calls or ()}
    shown = [row for row in rows if not (row.tool_call_id in called and row.tool_call_id in results)]
    views = [(row, _said(row, limits[row.position], results)) for row in shown]
    return TurnView(
        id=turn_id,
        at=rows[0].created_at,
        said=[view for row, view in views if row.superseded_by is None],
        replaced=[view for row, view in views if row.superseded_by is not None],
        media=(),
    )


def _said(row: MessageRow, limit: int, results: Mapping[str | None, MessageRow]) -> SaidView:
    text = _text_of(row)
    shown = text[:limit]
    whole = max(row.characters or 0, len(text))
    links = [Block((Piece(part["url"], part["url"]),)) for part in row.parts or () if part.get("url")]
    return SaidView(
        position=row.position,
        author=cut(row.agent or row.name or _AUTHORS.get(row.role, row.role), 80),
        role=row.role,
        at=row.created_at,
        blocks=[*blocks_of(shown), *links],
        sent=sent_words([str(part.get("type")) for part in row.parts or ()]),
        calls=[_call(call, results) for call in (row.calls or ())[:_MOST_CALLS]],
        rest=whole - len(shown),
        size_bytes=row.size_bytes,
        is_folded=row.role in {"system", "developer"},
        is_hidden=not row.is_shown or (row.has_calls and row.calls is None),
    )


def _text_of(row: MessageRow) -> str:
    if row.parts is not None:
        return "\n\n".join(str(part["text"]) for part in row.parts if part.get("text"))
    return row.text or ""


def _call(call: Mapping[str, Any], results: Mapping[str | None, MessageRow]) -> CallView:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    result = results.get(call.get("id"))
    return CallView(
        id=str(call.get("id") or ""),
        name=cut(str(function.get("name") or call.get("type") or "tool"), 80),
        arguments=cut(_readable(function.get("arguments")), _MOST_OF_A_CALL),
        result=None if result is None else cut(_readable(_text_of(result)), _MOST_OF_A_CALL),
    )


def _readable(text: Any) -> str:
    """JSON on several lines; anything else as it is."""
    if not isinstance(text, str):
        return "" if text is None else orjson.dumps(text, option=orjson.OPT_INDENT_2).decode()
    if len(text) > _MOST_OF_A_CALL or not text.startswith(("{", "[")):
        return text
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return text
