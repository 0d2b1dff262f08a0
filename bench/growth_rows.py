"""Turns and generations as rows: turns by the product's own statements, generations shaped as a worker leaves them."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from app.chat.responses.form import ResponseForm
from app.chat.responses.request import ResponseRequest
from app.chat.responses.thoughts import ThoughtSeal
from app.chat.turns import repository as turns
from app.chat.turns.repository import Admission, Batch, EndedTurn
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat_models.protocol import Usage
from app.configuration.fragments import version
from app.core.attribution import Attribution
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from app.sessions.lease import LeasedSession
from app.sessions.service import columns_of

_AGENT, _MODEL = "orchestrator", "sim-chat"
_QUESTION = "What does the harbour of a small town look like in the first light of a winter morning? " * 2
_ANSWER = "The boats lie still, and the water between them is as grey as the sky above the breakwater. " * 7
_HOLD, _COST = Decimal("0.01"), Decimal("0.0009")
_TURN_SECONDS = timedelta(seconds=300)

_GENERATIONS = """
WITH made AS (
    INSERT INTO generations (id, organization_id, user_id, session_id, turn_id, model, input, prompt, price_id,
        max_retries, retry_count, failures, is_parked, is_leased, file_token, status, due_at, deadline_at,
        webhook_nonce, prediction_id, content_type, output_url, credit_cost, created_at, started_at, completed_at)
    SELECT gen_random_uuid(), $1, $2, NULL, 'turn-' || md5(random()::text), 'simulator/image',
        jsonb_build_object('prompt', $4::text), $4, $3, 3, 0, 0, false, false, md5(random()::text), 'completed', now(),
        now(), md5(random()::text), md5(random()::text), 'image', 'https://replicate.delivery/' || md5(random()::text),
        0.01, now(), now(), now()
    FROM generate_series(1, $5::int)
    RETURNING *
), tried AS (
    INSERT INTO attempts (generation_id, number, organization_id, prediction_id, started_at, finished_at, ended_at,
        ending, user_id, api_key_id, agent, model, turn_id, request_id)
    SELECT id, 0, organization_id, prediction_id, now(), now(), now(), 'completed', user_id, 'key-of-the-bench',
        'orchestrator', model, turn_id, turn_id FROM made
), called AS (
    INSERT INTO create_calls (generation_id, attempt, claim, ended_at, result, prediction_id)
    SELECT id, 0, 1, now(), 'accepted', prediction_id FROM made
)
INSERT INTO outputs (generation_id, attempt, position, lapses, storage_path, content_type, media_type, size_bytes,
    sha256)
SELECT id, 0, 0, 0, organization_id || '/' || id || '/0-0.png', 'image', 'image/png', 250000,
    encode(sha256(convert_to(id::text, 'UTF8')), 'hex') FROM made
"""


@dataclass(frozen=True)
class Payer:
    """Whose turns they are, and what they cost."""

    organization_id: str
    user_id: str
    price_id: int
    version: int


@dataclass(frozen=True)
class Turn:
    """A turn that is admitted or ended."""

    admission: Admission
    session: LeasedSession


def new_turn(payer: Payer) -> Turn:
    """A turn that begins a session."""
    session = LeasedSession(uuid.uuid4(), new_id("sess"), new_id("turn"))
    attribution = Attribution(
        organization_id=payer.organization_id,
        user_id=payer.user_id,
        api_key_id="key-of-the-bench",
        agent=_AGENT,
        model=_MODEL,
        session_id=session.id,
        turn_id=session.turn_id,
        request_id=f"req-{secrets.token_hex(12)}",
    )
    reference = f"turn:{session.turn_id}"
    return Turn(Admission(attribution, reference, _HOLD, _TURN_SECONDS, 1, session.public_id), session)


async def admit(database: Database, payer: Payer, admitted: Sequence[Turn]) -> None:
    """Admit turns as the product does, all by one statement."""
    batch = Batch(payer.organization_id, payer.version, None)
    if not await turns.admit(database, batch, [each.admission for each in admitted]):
        raise RuntimeError("The turns were not admitted")


async def end(
    database: Database, payer: Payer, admitted: Sequence[Turn], *, keeps_with: ThoughtSeal | None = None
) -> None:
    """End turns as the product does: one call each, a question and an answer.

    With a seal each is kept as a response.
    """
    messages = await columns_of(
        [(None, {"role": "user", "content": _QUESTION}), (_AGENT, {"role": "assistant", "content": _ANSWER})]
    )
    ended = [
        EndedTurn(each.session, each.admission.reference, "chat", [_use(payer, each)], messages, has_failed=False)
        for each in admitted
    ]
    if keeps_with:
        ended = [_kept(each, payer, keeps_with) for each in ended]
    if not all(await turns.end(database, payer.organization_id, ended)):
        raise RuntimeError("A turn was not ended")


def _kept(ended: EndedTurn, payer: Payer, seal: ThoughtSeal) -> EndedTurn:
    session = ended.session
    asked = ResponseRequest.model_validate({"model": "junis-orchestrator", "input": _QUESTION})
    result = TurnResult(
        turn=TurnIdentity(session.turn_id, datetime.now(UTC), "junis-orchestrator", None, session.public_id),
        message={"role": "assistant", "content": _ANSWER},
        finish_reason="stop",
        logprobs=None,
        usage=Usage(500, 200),
        contents=(),
        ended_at=int(datetime.now(UTC).timestamp()),
    )
    return replace(ended, user_id=payer.user_id, keeping=ResponseForm(asked, seal).keeping(result))


def _use(payer: Payer, turn: Turn) -> MeteredUse:
    return MeteredUse(
        call_id=f"{turn.admission.reference}:1",
        kind=EventKind.MODEL_CALL,
        agent=_AGENT,
        model=_MODEL,
        price_id=payer.price_id,
        cost=_COST,
        prompt_tokens=500,
        completion_tokens=200,
        delivered_bytes=len(_ANSWER),
    )


async def find_payer(tx: Transaction, organization_id: str, user_id: str) -> Payer:
    """The organization as it is now."""
    price_id = await tx.fetchval("SELECT id FROM prices WHERE model_name = $1", _MODEL)
    current = await tx.fetchval(f"SELECT {version('$1')}", organization_id)
    return Payer(organization_id, user_id, price_id, current)


async def add_generations(tx: Transaction, payer: Payer, count: int) -> None:
    """Completed generations, each with an attempt, a create call and a file."""
    await tx.execute(_GENERATIONS, payer.organization_id, payer.user_id, payer.price_id, _QUESTION, count)
