"""A response that runs without its client: its row, and the storing of its events while the turn runs."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from app.chat.responses.form import ResponseForm
from app.chat.responses.output import response_id_of
from app.chat.responses.resource import as_failed, begun_resource, queued_resource
from app.chat.responses.response_events import ResponseEvents, failed_events
from app.chat.turns.lasting import ACCEPTED, LostTurnError
from app.chat.turns.request import TurnOwner, TurnRequest
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.run import RunningTurn
from app.core.database import Database, Transaction
from app.core.errors import AppError
from app.core.persistence import until_done
from app.idempotency import service as idempotency
from app.kept_responses.keeping import Keeping
from app.response_runs import service as runs
from app.response_runs.models import RunStatus
from app.response_runs.stored_runs import Batch, LapsedRun, NewRun, RunLease
from app.sessions import service as sessions
from app.sessions.lease import LeasedSession

logger = logging.getLogger(__name__)

# Events are stored together that come within this time, or until they are so long.
_BATCH_SECONDS: Final = 0.25
_BATCH_BYTES: Final = 4096
_QUIET_SECONDS: Final = 60.0
_FIRST_LOOK_SECONDS: Final = 0.05


class LastingResponse:
    """One attempt at a response, by this process; see `LastingTurn`.

    Args:
        database: the database.
        form: the form of its turn.
        owner: for whom it runs.
        body: the body of the request.
        lapsed: the run that was taken over; None for a new one.
    """

    def __init__(
        self, database: Database, form: ResponseForm, owner: TurnOwner, body: bytes, lapsed: LapsedRun | None = None
    ) -> None:
        self.former_turn = lapsed.turn_id if lapsed else None
        self.is_handed_on = False
        self.owner = owner
        self._database = database
        self._form = form
        self._body = body
        self._lapsed = lapsed
        self._turn: TurnIdentity | None = form.shown
        self._lease = lapsed.lease if lapsed else None
        self._events: ResponseEvents | None = None
        self._running: RunningTurn | None = None
        self._publishing: asyncio.Task[None] | None = None
        # The number of the next event to be stored, and that of the first one that a model has caused.
        self._next = lapsed.next_event if lapsed else 0
        self._begun = self._next

    @property
    def is_accepted(self) -> bool:
        """Whether this request has made it, and not the same one before."""
        return self._lease is not None

    @property
    def lease(self) -> RunLease:
        """The run, once it is accepted."""
        if self._lease is None:
            raise LostTurnError
        return self._lease

    @property
    def turn(self) -> TurnIdentity:
        """The turn that clients know, once the response is accepted."""
        if self._turn is None:
            raise LostTurnError
        return self._turn

    @property
    def was_sent(self) -> bool:
        """Whether a client may have seen anything that a model has said."""
        return self._next > self._begun

    def request_key(self, turn_id: str) -> bytes:
        """See `LastingTurn`: of the response's id."""
        response_id = self._lapsed.lease.id if self._lapsed else response_id_of(turn_id)
        return hashlib.sha256(f"response\0{response_id}".encode()).digest()

    async def begin(self, tx: Transaction) -> None:
        """See `LastingTurn`."""
        lapsed = self._lapsed
        if lapsed is None:
            return
        if not await runs.lock(tx, lapsed.lease):
            raise LostTurnError
        # Whoever had it before, and may wake up, stores nothing there any more.
        former = LeasedSession(lapsed.session_id, self.turn.session_name, lapsed.turn_id)
        await sessions.end_turn(tx, former, (), superseded=(), failed=False)

    async def admitted(self, tx: Transaction, turn: TurnIdentity, session: LeasedSession) -> str:
        """See `LastingTurn`."""
        if self._lapsed is not None:
            await runs.move(tx, self.lease, turn.id)
            self._events = self._stored_events(self.turn, self._next)
            return self.lease.id
        self._turn = turn
        events = self._stored_events(turn, 0)
        begun = events.begin() if events else None
        self._lease = await runs.accept(tx, self._new_run(turn, session, begun))
        self._events = events
        self._next = self._begun = Batch(0, begun or b"").next
        return self._lease.id

    def _new_run(self, turn: TurnIdentity, session: LeasedSession, begun: bytes | None) -> NewRun:
        return NewRun(
            id=response_id_of(turn.id),
            organization_id=self.owner.organization_id,
            user_id=self.owner.user_id,
            api_key_id=self.owner.api_key_id or "",
            session_id=session.id,
            turn_id=turn.id,
            identity=turn.to_json(),
            request=self._body,
            response=queued_resource(self._form.asked, turn),
            input=self._form.kept_input(turn.id),
            events=begun,
        )

    def _stored_events(self, turn: TurnIdentity, number: int) -> ResponseEvents | None:
        return self._form.events(turn, number=number) if self._form.asked.stream else None

    async def may_be_repeated(self, request: TurnRequest, accepted_id: str) -> bool:
        """Whether the same request, which was accepted before, is to run again, as its client has seen it fail."""
        if self._form.asked.background or request.idempotent is None:
            return False
        owner = self.owner.organization_id, self.owner.user_id
        async with self._database.transaction() as tx:
            found = await runs.find_response(tx, owner, accepted_id)
            if found is None or found["status"] != RunStatus.FAILED:
                return False
            await idempotency.forget(tx, request.idempotent, ACCEPTED, accepted_id)
        return True

    def follow(self, running: RunningTurn) -> None:
        """Store what the running turn says from now on."""
        self._running = running
        self._publishing = asyncio.create_task(self._publish(running), name=self.lease.id)

    async def wait_for_first(self, seconds: float) -> None:
        """Wait until something that the model has said is stored, the turn has ended, or the time is up.

        Raises:
            AppError: it has failed before it has said anything.
        """
        running, until = self._running, monotonic() + seconds
        while running and not self.was_sent and not running.task.done() and monotonic() < until:
            await asyncio.wait({running.task}, timeout=_FIRST_LOOK_SECONDS)
        if running and running.has_failed and not self.was_sent and not self.is_handed_on:
            await running.result()

    def stop(self) -> None:
        """See `LastingTurn`."""
        self.is_handed_on = not self.was_sent

    async def flush(self) -> None:
        """See `LastingTurn`. What cannot be stored is logged; the response fails then."""
        if self._publishing is None:
            return
        await asyncio.wait({self._publishing})
        if not self._publishing.cancelled() and (error := self._publishing.exception()):
            logger.error("response_events_not_stored", exc_info=error, extra={"response_id": self.lease.id})

    async def is_live(self, tx: Transaction) -> bool:
        """See `LastingTurn`."""
        return await runs.lock(tx, self.lease)

    async def answered(self, tx: Transaction, result: TurnResult) -> None:
        """See `LastingTurn`. The last events are stored together with the end.

        Raises:
            LostTurnError: what was said before is not stored.
        """
        shown = self._form.as_shown(result)
        # This may be written more than once, and may not be known to be.
        events = self._events and self._events.copied()

        def last(number: int) -> bytes:
            if events is None or number != self._next:
                raise LostTurnError
            return events.ended(shown)

        keeping: Keeping = self._form.keeping(result)
        status = RunStatus(keeping.response["status"])
        await runs.end(tx, self.lease, self.owner.organization_id, status, None, last)

    async def failed(self, tx: Transaction, error: AppError) -> None:
        """See `LastingTurn`."""
        response = begun_resource(self._form.asked, self.turn)
        await end_failed(tx, self.lease, self.owner.organization_id, response, error)

    async def hand_on(self) -> None:
        """See `LastingTurn`."""
        await runs.hand_on(self._database, self.lease)

    async def _publish(self, running: RunningTurn) -> None:
        """Store the events of the turn, until it has said everything or another process has the run."""
        try:
            await self._publish_all(running)
        except Exception:  # raised again
            # Nobody reads what the turn says any more.
            running.give_up()
            raise

    async def _publish_all(self, running: RunningTurn) -> None:
        hold_expires_at = running.turn.hold_expires_at
        await until_done(lambda: runs.begin(self._database, self.lease), expires_at=hold_expires_at)
        events, pending, due_at, is_over = self._events, b"", 0.0, False
        while events is not None and not is_over:
            wait = due_at - monotonic() if pending else _QUIET_SECONDS
            deltas, is_over = await running.deltas.next_ones(wait)
            pending += events.said(deltas)
            if not pending or not (is_over or len(pending) >= _BATCH_BYTES or monotonic() >= due_at):
                continue
            if not await self._store(running, Batch(self._next, pending)):
                running.give_up()
                return
            pending, due_at = b"", monotonic() + _BATCH_SECONDS

    async def _store(self, running: RunningTurn, batch: Batch) -> bool:
        uses = [use.to_json() for use in running.turn.meter.uses_so_far]
        is_stored = await until_done(
            lambda: runs.append(self._database, self.lease, batch, uses), expires_at=running.turn.hold_expires_at
        )
        if is_stored:
            self._next = batch.next
        return is_stored


async def end_failed(
    tx: Transaction, lease: RunLease, organization_id: str, response: Mapping[str, Any], error: AppError
) -> None:
    """End a run as failed, with the events that say so. One that was cancelled stays cancelled."""
    failed = as_failed(response, error)

    def last(number: int) -> bytes:
        return failed_events(failed, error, number)

    await runs.end(tx, lease, organization_id, RunStatus.FAILED, failed, last)
