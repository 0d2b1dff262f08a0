from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app import api, health
from app.api_keys.cache import open_caller_cache
from app.chat.turns.open import open_turns
from app.core.body_budget import BodyBudget
from app.core.error_handlers import add_error_handlers
from app.core.errors import MAX_BODY_MEGABYTES
from app.core.middleware import BodyLimitMiddleware, RequestMiddleware
from app.core.settings import Settings
from app.core.watch import watching
from app.rate_limits.failed_attempts import FailedAttempts
from app.rate_limits.limiter import open_rate_limiter
from app.rate_limits.unrouted import guard_unrouted
from app.resources import open_resources

# They come from strangers until their signature is checked. One of the largest size fits.
_WEBHOOK_BODIES = 32 * 1024 * 1024


def create_app(settings: Settings) -> FastAPI:
    """The application of the API process. Its lifespan opens what it talks to."""

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        async with (
            open_resources(settings) as resources,
            watching(resources.object_watch, resources.redis_watch),
            open_caller_cache(resources.database, settings.database_url) as callers,
            open_rate_limiter(resources.redis) as limiter,
            open_turns(
                settings,
                database=resources.database,
                queue=resources.queue,
                store=resources.store,
                chat_models=resources.chat_models,
            ) as turns,
        ):
            state = application.state
            # The server sets it when the process is asked to stop.
            state.is_stopping = False
            state.failed_attempts = FailedAttempts(
                limiter, settings.failed_attempts_per_minute, settings.trusted_proxies
            )
            state.bodies = BodyBudget(settings.large_bodies_megabytes * 1024 * 1024)
            state.webhook_bodies = BodyBudget(_WEBHOOK_BODIES)
            state.resources, state.callers, state.limiter, state.turns = resources, callers, limiter, turns
            yield

    application = FastAPI(
        title="Junis External API",
        summary="OpenAI-compatible agents, generated media, exact credits.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    add_error_handlers(application)
    guard_unrouted(application)
    application.add_middleware(BodyLimitMiddleware, max_bytes=MAX_BODY_MEGABYTES * 1024 * 1024)
    application.add_middleware(RequestMiddleware)
    application.include_router(api.router)
    application.include_router(health.router)
    return application
