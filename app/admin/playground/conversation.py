"""The conversation that the playground shows, and its pieces as HTML for its script."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fastapi import Request

from app.admin.access import Viewer
from app.admin.errors import PageNotFoundError
from app.admin.rendering import render
from app.admin.sessions.queries import SessionRow, find_session, find_sessions
from app.admin.sessions.session_addresses import message_path, session_path
from app.admin.sessions.thumbnails import MediaView, media_of
from app.admin.sessions.transcript import CallView, TurnView
from app.admin.sessions.transcript_reader import Transcript, TranscriptReader
from app.admin.sessions.turn_queries import find_held, find_turns, session_of_turn
from app.core.clock import now
from app.core.database import Database, Transaction
from app.storage.protocol import ObjectStore


@dataclass(frozen=True)
class Conversation:
    """A session of the reader's.

    Attributes:
        session: its row.
        transcript: its newest messages.
        held: what is held for it at the moment, in credits.
    """

    session: SessionRow
    transcript: Transcript
    held: Decimal

    @property
    def open_calls(self) -> Sequence[CallView]:
        """The calls of the client's tools that wait for a result."""
        turns = self.transcript.turns
        return open_calls_of(turns[-1]) if turns and not self.transcript.running else ()

    def trace_of(self, turn_id: str) -> str:
        """Where the steps of a turn are shown, below the console's address."""
        return session_path(self.session.public_id, self.session.user_id, turn=turn_id)

    def message_path(self, position: int) -> str:
        """Where one message is shown in full."""
        return message_path(self.session.public_id, self.session.user_id, position)


@dataclass(frozen=True)
class Conversations:
    """Reads the reader's conversations and renders pieces of them.

    Attributes:
        request: the request that asks.
        viewer: the reader, to whom the sessions belong.
        database: where they are.
        store: where the files of contents are.
        public_url: the address of this server.
    """

    request: Request
    viewer: Viewer
    database: Database
    store: ObjectStore
    public_url: str

    async def of_name(self, name: str) -> Conversation:
        """The reader's session of that name.

        Raises:
            PageNotFoundError: there is none.
        """
        async with self.database.transaction() as tx:
            found = await find_sessions(tx, self.viewer.organization_id, name, user_id=self.viewer.user_id)
            if not found:
                raise PageNotFoundError
            return await self._read(tx, found[0])

    async def of_turn(self, turn_id: str) -> Conversation:
        """The reader's session with that turn on its page.

        Raises:
            PageNotFoundError: there is none.
        """
        organization_id = self.viewer.organization_id
        async with self.database.transaction() as tx:
            row = await session_of_turn(tx, organization_id, turn_id)
            session = await find_session(tx, organization_id, row, user_id=self.viewer.user_id) if row else None
            if session is None:
                raise PageNotFoundError
            return await self._read(tx, session, turn_id)

    async def media_of(self, turn_id: str) -> list[MediaView]:
        """What the turn has made so far."""
        async with self.database.transaction() as tx:
            rows = await find_turns(tx, self.viewer.organization_id, [turn_id])
        return media_of(rows.contents, rows.outputs, self.store, self.public_url).get(turn_id, [])

    async def state_of(self, turn_id: str) -> dict[str, Any]:
        """A turn as the script shows it: its bubbles, and what the session has cost."""
        conversation = await self.of_turn(turn_id)
        shown = [turn for turn in conversation.transcript.turns if turn.id == turn_id]
        take = conversation.transcript.takes.get(turn_id)
        return {
            "turn": turn_id,
            "session": conversation.session.public_id,
            "html": self.html("playground/turn.html", conversation=conversation, turns=shown),
            "sums": self.html("playground/sums.html", conversation=conversation),
            "is_running": take is not None and take.is_running,
            "is_pending": any(made.is_pending for turn in shown for made in turn.media),
        }

    def html(self, template: str, **context: Any) -> str:
        """A piece of the page."""
        return bytes(render(self.request, template, self.viewer, title="", **context).body).decode()

    async def _read(self, tx: Transaction, session: SessionRow, turn_id: str | None = None) -> Conversation:
        reader = TranscriptReader(tx, self.viewer.organization_id, self.store, self.public_url)
        transcript = await reader.read(session, now=now(), turn_id=turn_id)
        if transcript is None:
            raise PageNotFoundError
        return Conversation(session, transcript, await find_held(tx, self.viewer.organization_id, session.id))


def open_calls_of(turn: TurnView) -> Sequence[CallView]:
    """The calls at the end of a turn that its client is to answer."""
    last = turn.said[-1] if turn.said else None
    return [call for call in last.calls if call.result is None and call.id] if last and last.role == "assistant" else ()
