"""Sessions in a state that the test chooses, and other users who must not see them."""

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from app.organizations import repository as organizations
from app.organizations.models import MembershipRole
from app.organizations.service import ensure_user
from app.sessions.models import Message, Session
from tests.factories import Organization


async def insert_session(database: Database, owner: Organization, *, hours_ago: float = 0, **values: Any) -> Session:
    """A session of the user who made the owner's key, last updated `hours_ago`."""
    moment = now() - timedelta(hours=hours_ago)
    columns = {"public_id": f"sess-{secrets.token_hex(8)}", "created_at": moment, "last_update_time": moment}
    session = Session(organization_id=owner.id, user_id=owner.user_id, **columns | values)
    async with database.transaction() as tx:
        tx.session.add(session)
    return session


async def insert_talk(database: Database, owner: Organization, *messages: dict[str, Any], **values: Any) -> Session:
    """A session with these messages."""
    session = await insert_session(database, owner, message_count=len(messages), **values)
    async with database.transaction() as tx:
        tx.session.add_all(Message(session_id=session.id, turn_id="turn-of-the-test", **said) for said in messages)
    return session


async def make_colleague(database: Database, organization: Organization) -> Organization:
    """Another member of the same organization, whose key has every scope."""
    async with database.transaction() as tx:
        user = await ensure_user(tx, f"{secrets.token_hex(6)}@example.com", actor=COMMAND_LINE)
        await organizations.add_membership(tx, organization.id, user.id, MembershipRole.MEMBER)
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="colleague", scopes=ALL_SCOPES),
            organization_id=organization.id,
            user_id=user.id,
            actor=COMMAND_LINE,
        )
        secret = new.secret
    return replace(organization, user_id=user.id, api_key=secret)
