"""Imports every feature's tables, so that Alembic sees one metadata."""

from app.agents.models import Agent, SubAgent
from app.api_keys.models import ApiKey
from app.catalog.models import Model, Price
from app.core.database import Base
from app.credits.models import CreditAccount, CreditHold, LedgerEntry
from app.generations.models import Generation, Output
from app.idempotency.models import IdempotencyKey
from app.organizations.models import Membership, Organization, Plan, User
from app.sessions.models import Message, Session

metadata = Base.metadata

__all__ = [
    "Agent",
    "ApiKey",
    "CreditAccount",
    "CreditHold",
    "Generation",
    "IdempotencyKey",
    "LedgerEntry",
    "Membership",
    "Message",
    "Model",
    "Organization",
    "Output",
    "Plan",
    "Price",
    "Session",
    "SubAgent",
    "User",
    "metadata",
]
