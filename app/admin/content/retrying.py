"""A retry that somebody asks for in the console: it counts, and is refused, like one of the API."""

from app.admin.access import Viewer
from app.content import service as contents
from app.content.service import Retrier
from app.core.database import Database, Transaction
from app.core.errors import AppError
from app.credits.errors import InsufficientCreditsError
from app.generations.models import Generation
from app.generations.service import GenerationPolicy
from app.organizations.errors import SubscriptionRequiredError
from app.organizations.models import SubscriptionStatus
from app.queue.protocol import WakeQueue
from app.rate_limits.decisions import Limits, Refusal
from app.rate_limits.errors import ConcurrencyLimitExceededError, RateLimitExceededError
from app.rate_limits.limiter import RateLimiter

_LIMITS = """
SELECT p.requests_per_minute, p.concurrent_requests, o.subscription_status
FROM organizations o JOIN plans p ON p.name = o.plan_name WHERE o.id = $1
"""


async def retry(
    database: Database,
    queue: WakeQueue,
    limiter: RateLimiter,
    policy: GenerationPolicy,
    viewer: Viewer,
    content_id: str,
    attempt: int,
) -> Generation:
    """Queue a failed content again, within the organization's plan and credits.

    `attempt` is the one that the page showed as failed: a form that is sent twice retries once.

    Raises:
        SubscriptionRequiredError, RateLimitExceededError, ConcurrencyLimitExceededError: the plan does not allow it.
        ContentNotFoundError, ContentRequestError: as `app.content.service.retry`.
        InsufficientCreditsError: the organization cannot pay the ceiling.
        ModelNotPricedError, UnknownModelError: the catalog does not offer the model any more.
    """
    async with database.transaction() as tx:
        limits = await _limits_of(tx, viewer)
    decision, slot = await limiter.admit(limits)
    if decision.refusal is Refusal.CONCURRENCY:
        raise ConcurrencyLimitExceededError(decision.wait_seconds)
    if decision.refusal is not None or slot is None:
        raise RateLimitExceededError(decision.wait_seconds)
    try:
        async with database.transaction() as tx:
            found = (await contents.get_content(tx, viewer.organization_id, content_id)).content
            if found.retry_count > attempt:
                return found
            retrier = Retrier(viewer.organization_id, viewer.user_id, key_id=None)
            return await contents.retry(tx, queue, policy, retrier, content_id)
    finally:
        await limiter.release(slot)


async def _limits_of(tx: Transaction, viewer: Viewer) -> Limits:
    """The limits of the plan alone: a user of the console has none of a key."""
    row = await tx.fetchrow(_LIMITS, viewer.organization_id)
    if row is None or row["subscription_status"] != SubscriptionStatus.ACTIVE:
        raise SubscriptionRequiredError
    return Limits(
        organization_id=viewer.organization_id,
        key_id=f"user:{viewer.user_id}",
        per_minute=row["requests_per_minute"],
        concurrent=row["concurrent_requests"],
        key_per_minute=None,
        key_per_hour=None,
    )


def refusal_of(error: AppError) -> str:
    """Why a retry was refused, and what to do, in words."""
    if isinstance(error, InsufficientCreditsError):
        return "There are not enough credits for what a retry holds. Add credits, or wait until what runs has ended."
    if isinstance(error, SubscriptionRequiredError):
        return "This organization has no active subscription, so nothing can be generated for it."
    if isinstance(error, ConcurrencyLimitExceededError):
        return "Your plan's number of requests is running. Wait until one has ended, then retry."
    if isinstance(error, RateLimitExceededError):
        return f"Your plan's requests of this minute are used up. Retry in {error.retry_after} seconds."
    return error.text if error.text.endswith(".") else f"{error.text}."
