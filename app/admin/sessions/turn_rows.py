"""What is stored of turns: the rows that transcripts and waterfalls are made from."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class MessageRow:
    """A message of a transcript.

    Attributes:
        position: its number in the session, from 0.
        text: the beginning of its text, if that is all its content.
        characters: how long the text is.
        parts: its content if that is a list: of each part its type, the beginning of its text and its address.
        calls: its tool calls; None if it has none, or they are very long.
        is_shown: False if it, or the messages of its page before it, are very large: nothing of it was read then.
    """

    position: int
    id: int
    turn_id: str
    role: str
    agent: str | None
    name: str | None
    text: str | None
    characters: int | None
    parts: Sequence[dict[str, Any]] | None
    calls: Sequence[dict[str, Any]] | None
    has_calls: bool
    tool_call_id: str | None
    created_at: datetime
    superseded_by: str | None
    size_bytes: int
    is_shown: bool


@dataclass(frozen=True)
class HoldRow:
    reference: str
    turn_id: str | None
    request_id: str | None
    agent: str | None
    model: str | None
    api_key_id: str | None
    created_at: datetime
    ended_at: datetime | None
    state: str
    amount: Decimal
    charged: Decimal | None


@dataclass(frozen=True)
class EventRow:
    call_id: str
    hold_reference: str
    kind: str
    agent: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    predict_time: Decimal | None
    outputs: int | None
    is_estimated: bool
    cost: Decimal
    began_at: datetime | None
    first_token_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class EntryRow:
    kind: str
    reference: str
    amount: Decimal


@dataclass(frozen=True)
class AttemptRow:
    generation_id: uuid.UUID
    number: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    ending: str | None
    error_message: str | None
    reference: str


@dataclass(frozen=True)
class OutputRow:
    generation_id: uuid.UUID
    storage_path: str
    content_type: str


@dataclass(frozen=True)
class ContentRow:
    id: uuid.UUID
    turn_id: str
    model: str
    status: str
    content_type: str | None
    file_token: str
    retry_count: int
    error_message: str | None
    credit_cost: Decimal | None
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True)
class TurnRows:
    """What is stored of some turns beside their messages."""

    holds: Sequence[HoldRow]
    events: Sequence[EventRow]
    contents: Sequence[ContentRow]
    attempts: Sequence[AttemptRow]
    outputs: Sequence[OutputRow]
    entries: Sequence[EntryRow]


@dataclass(frozen=True)
class SessionTotals:
    credits: Decimal
    prompt_tokens: int
    completion_tokens: int
    outputs: int
