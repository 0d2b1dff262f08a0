"""What becomes of a response whose process is gone: it begins again if nothing was sent, and ends otherwise."""

from decimal import Decimal
from typing import Final

from pydantic import ValidationError

from app.api_keys import service as api_keys
from app.api_keys.caller import Caller
from app.api_keys.errors import ScopeNotAllowedError
from app.api_keys.scopes import Scope
from app.chat.responses.form import ResponseForm
from app.chat.responses.kept_items import with_kept_items
from app.chat.responses.lasting_response import LastingResponse, end_failed
from app.chat.responses.request import ResponseRequest
from app.chat.responses.response_events import BEGINNING
from app.chat.responses.thoughts import ThoughtSeal
from app.chat.turns.lapsed import end_lapsed
from app.chat.turns.request import TurnOwner, TurnRequest
from app.chat.turns.result import TurnIdentity
from app.chat.turns.turn import hold_reference
from app.core.database import Database
from app.core.errors import AppError, InvalidRequestError
from app.core.json import read_json
from app.core.secret_keys import SecretKeys
from app.credits import service as credits
from app.organizations.errors import SubscriptionRequiredError
from app.response_runs import service as runs
from app.response_runs.models import LIVE
from app.response_runs.stored_runs import LapsedRun
from app.sessions.lease import LeasedSession

# One that ends every process that runs it is given up.
_MOST_ATTEMPTS: Final = 5


class TakenOver:
    """A run that was taken over from a process that is gone."""

    def __init__(self, database: Database, keys: SecretKeys, lapsed: LapsedRun) -> None:
        self._database = database
        self._keys = keys
        self._lapsed = lapsed
        self._turn = TurnIdentity.from_json(lapsed.identity)

    @property
    def may_run(self) -> bool:
        """Whether it is to begin again: nobody has cancelled it, and no client can have seen anything of it."""
        lapsed = self._lapsed
        has_spoken = lapsed.next_event > BEGINNING[lapsed.response["background"]]
        return lapsed.status in LIVE and not has_spoken and lapsed.lease.attempt <= _MOST_ATTEMPTS

    async def request(self) -> tuple[LastingResponse, TurnRequest]:
        """The response as it begins again, in its session.

        Raises:
            AppError: it may not run any more.
        """
        caller, most = await self._caller()
        try:
            asked = ResponseRequest.model_validate(read_json(self._lapsed.request))
        except ValidationError:
            # It was accepted by another version.
            raise InvalidRequestError("The request cannot be read any more") from None
        form = ResponseForm(asked, ThoughtSeal(self._keys, self._lapsed.organization_id), self._turn)
        owner = TurnOwner.of(caller)
        read = await with_kept_items(self._database, (owner.organization_id, owner.user_id), asked.read)
        form.seal.put_back(read.sealed, read.messages)
        response = LastingResponse(self._database, form, owner, self._lapsed.request, self._lapsed)
        turn = asked.turn_request(
            caller, None, read, None, form.keeping, lasting=response, session_name=self._turn.session_name
        )
        return response, turn.within(most)

    async def _caller(self) -> tuple[Caller, Decimal | None]:
        """Who has asked, if they still may, and what the response may still cost at most."""
        lapsed = self._lapsed
        async with self._database.transaction() as tx:
            caller = await api_keys.find_caller_by_id(tx, lapsed.organization_id, lapsed.api_key_id)
            most = await credits.find_most(tx, lapsed.organization_id, hold_reference(lapsed.turn_id))
        if not caller.is_subscribed:
            raise SubscriptionRequiredError
        if Scope.ORCHESTRATOR_INVOKE not in caller.scopes:
            raise ScopeNotAllowedError
        return caller, most

    async def end(self, error: AppError) -> None:
        """Charge what is known to have been used, and end the response as failed unless it was cancelled."""
        lapsed = self._lapsed
        session = LeasedSession(lapsed.session_id, self._turn.session_name, lapsed.turn_id)
        async with self._database.transaction() as tx:
            is_live = await runs.lock(tx, lapsed.lease)
            await end_lapsed(tx, lapsed.organization_id, session, lapsed.uses, self._turn.model, has_failed=is_live)
            await end_failed(tx, lapsed.lease, lapsed.organization_id, lapsed.response, error)
