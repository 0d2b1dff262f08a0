"""Everything that the page of a session shows, read in one transaction."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.admin.sessions.queries import SessionRow
from app.admin.sessions.thumbnails import MediaView, media_of
from app.admin.sessions.transcript import MOST_OF_A_TEXT, TurnView, transcript_of
from app.admin.sessions.turn_queries import (
    find_position,
    find_totals,
    find_turns,
    list_messages,
    running_turn,
    session_of_turn,
)
from app.admin.sessions.turn_rows import SessionTotals
from app.admin.sessions.turn_steps import Waterfall
from app.admin.sessions.turn_takes import TurnTake, takes_of
from app.admin.sessions.waterfall import waterfall_of
from app.core.database import Transaction
from app.storage.protocol import ObjectStore

PAGE_SIZE = 40


@dataclass(frozen=True)
class Transcript:
    """One page of a session.

    Attributes:
        turns: the turns on it.
        takes: what each of them has taken, as far as that is known.
        begin: the position of its first message.
        older: where the page before it begins; None if there is none.
        newer: where the page after it begins; None if there is none.
        running: the turn that is running now.
        selected: the turn that is shown as a waterfall.
    """

    turns: Sequence[TurnView]
    takes: Mapping[str, TurnTake]
    begin: int
    older: int | None
    newer: int | None
    running: str | None
    selected: Waterfall | None
    totals: SessionTotals

    @property
    def media(self) -> Sequence[MediaView]:
        return [each for turn in self.turns for each in turn.media]


@dataclass(frozen=True)
class TranscriptReader:
    """Reads transcripts of an organization.

    Attributes:
        tx: the transaction.
        organization_id: whose sessions these are.
        store: where the files of contents are.
        public_url: the address of this server.
    """

    tx: Transaction
    organization_id: str
    store: ObjectStore
    public_url: str

    async def read(
        self, session: SessionRow, *, now: datetime, turn_id: str | None = None, begin: int | None = None
    ) -> Transcript | None:
        """A page of the session: from a position on, or with a turn on it, or its newest messages.

        Returns:
            None if the session has no such turn.
        """
        running = await running_turn(self.tx, self.organization_id, session.id)
        if turn_id is not None and not await self._has_turn(session.id, turn_id):
            return None
        begin = await self._begin(session, turn_id, begin)
        rows = await list_messages(self.tx, session.id, begin=begin, limit=PAGE_SIZE, most_characters=MOST_OF_A_TEXT)
        shown = list(dict.fromkeys(row.turn_id for row in rows))
        selected = turn_id or running or (shown[-1] if shown else None)
        stored = await find_turns(self.tx, self.organization_id, list({*shown, *([selected] if selected else [])}))
        media = media_of(stored.contents, stored.outputs, self.store, self.public_url)
        end = begin + len(rows)
        return Transcript(
            turns=transcript_of(rows, media),
            takes=takes_of(stored),
            begin=begin,
            older=max(0, begin - PAGE_SIZE) if begin else None,
            newer=end if end < session.message_count and rows else None,
            running=running,
            selected=waterfall_of(selected, stored, now) if selected else None,
            totals=await find_totals(self.tx, self.organization_id, session.id),
        )

    async def _has_turn(self, session_id: uuid.UUID, turn_id: str) -> bool:
        return await session_of_turn(self.tx, self.organization_id, turn_id) == session_id

    async def _begin(self, session: SessionRow, turn_id: str | None, begin: int | None) -> int:
        newest = max(0, session.message_count - PAGE_SIZE)
        if begin is not None:
            return min(max(0, begin), session.message_count)
        if turn_id is not None:
            position = await find_position(self.tx, session.id, turn_id)
            # Without messages the turn is not in the transcript, and its newest page is as good as any.
            return min(position, newest) if position or not newest else newest
        return newest
