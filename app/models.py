"""Imports every feature's tables, so that Alembic sees one metadata."""

from app.accounts.models import ConsoleSession, Invitation, OneTimeLink, SignInAttempt
from app.agents.models import Agent, SubAgent
from app.api_keys.models import ApiKey
from app.audit.models import AuditEvent
from app.catalog.models import Model, Price
from app.configuration.models import ConfigurationVersion
from app.core.database import Base
from app.credits.models import (
    CreditAccount,
    CreditAlert,
    CreditHold,
    LedgerEntry,
    MeteringEvent,
    SpendDay,
    SpendMark,
)
from app.generations.models import CreateCall, Generation, GenerationAttempt, Output
from app.idempotency.models import IdempotencyKey, UserIdempotencyKey
from app.input_files.models import InputFile
from app.kept_responses.models import KeptResponse
from app.list_counts.models import ListCount, ListCountChange
from app.mail.models import OutgoingMail
from app.organizations.models import Membership, Organization, Plan, User
from app.response_runs.models import ResponseEvents, ResponseRun
from app.retention.models import RetentionRun, SealedDay, SealedSum, SealMark
from app.sessions.models import Message, Session
from app.webhook_endpoints.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookTry

metadata = Base.metadata

__all__ = [
    "Agent",
    "ApiKey",
    "AuditEvent",
    "ConfigurationVersion",
    "ConsoleSession",
    "CreateCall",
    "CreditAccount",
    "CreditAlert",
    "CreditHold",
    "Generation",
    "GenerationAttempt",
    "IdempotencyKey",
    "InputFile",
    "Invitation",
    "KeptResponse",
    "LedgerEntry",
    "ListCount",
    "ListCountChange",
    "Membership",
    "Message",
    "MeteringEvent",
    "Model",
    "OneTimeLink",
    "Organization",
    "OutgoingMail",
    "Output",
    "Plan",
    "Price",
    "ResponseEvents",
    "ResponseRun",
    "RetentionRun",
    "SealMark",
    "SealedDay",
    "SealedSum",
    "Session",
    "SignInAttempt",
    "SpendDay",
    "SpendMark",
    "SubAgent",
    "User",
    "UserIdempotencyKey",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "WebhookTry",
    "metadata",
]
