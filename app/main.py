from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from fastapi import FastAPI

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app import api, docs_page, health
from app.accounts.passwords import open_passwords
from app.accounts.throttle import WaitingAttempts
from app.admin.console import mount_console
from app.api_keys.cache import CALLERS_CHANNEL, CallerCache, keeping_uses
from app.chat.responses.response_runs import open_response_runs
from app.chat.turns.open import open_turns
from app.chat.turns.upstreams import Upstreams
from app.configuration.models import CONFIGURATIONS_CHANNEL
from app.core.body_budget import BodyBudget
from app.core.cors import CorsMiddleware
from app.core.database import Database
from app.core.direct_routes import lead_directly
from app.core.error_handlers import add_error_handlers
from app.core.errors import MAX_BODY_MEGABYTES
from app.core.event_loop import measuring_lag
from app.core.middleware import BodyLimitMiddleware, RequestMiddleware
from app.core.notifications import listening
from app.core.request_bodies import DecodingMiddleware
from app.core.request_targets import accept_doubled_slashes
from app.core.settings import Settings
from app.core.tracing import Tracer
from app.core.watch import watching
from app.embeddings.service import Embeddings
from app.fleet import reading_fleet
from app.model_names.cache import ModelNames
from app.openapi import document_of
from app.queue.processes import ProcessKind, reporting
from app.rate_limits.failed_attempts import FailedAttempts
from app.rate_limits.limiter import open_rate_limiter
from app.rate_limits.unrouted import guard_unrouted
from app.resources import open_resources
from app.traces.open import make_tracer

_MAX_BODY_BYTES = MAX_BODY_MEGABYTES * 1024 * 1024
# They come from strangers until their signature is checked. One of the largest size fits.
_WEBHOOK_BODIES = 32 * 1024 * 1024


@asynccontextmanager
async def _remembering(settings: Settings, database: Database) -> AsyncIterator[tuple[CallerCache, ModelNames]]:
    """What this process remembers of Postgres, told of changes over one connection."""
    callers, model_names = CallerCache(database), ModelNames(database)
    actions = {CALLERS_CHANNEL: callers.remembered.clear, CONFIGURATIONS_CHANNEL: model_names.remembered.clear}
    async with listening(settings.direct_database, actions) as listener, keeping_uses(callers):
        callers.remembered.listener = model_names.remembered.listener = listener
        yield callers, model_names


@asynccontextmanager
async def _open(application: FastAPI, settings: Settings, tracer: Tracer | None) -> AsyncIterator[None]:
    """Opens what the application talks to, for as long as it runs."""
    async with (
        tracer.sending() if tracer else nullcontext(),
        open_resources(settings) as resources,
        watching(resources.object_watch, resources.redis_watch),
        reporting(resources.redis, ProcessKind.API),
        measuring_lag(),
        # For those who can ask for it.
        reading_fleet(resources) if settings.metrics_token.get_secret_value() else nullcontext(),
        _remembering(settings, resources.database) as (callers, model_names),
        open_rate_limiter(resources.redis) as limiter,
        open_turns(
            settings,
            database=resources.database,
            queue=resources.queue,
            store=resources.store,
            chat_models=resources.chat_models,
        ) as turns,
        open_response_runs(settings, database=resources.database, turns=turns, limiter=limiter) as response_runs,
        open_passwords() as passwords,
    ):
        state = application.state
        # The server sets it when the process is asked to stop.
        state.is_stopping = False
        state.tracer = tracer
        state.failed_attempts = FailedAttempts(limiter, settings.failed_attempts_per_minute, settings.trusted_proxies)
        state.bodies = BodyBudget(settings.large_bodies_megabytes * 1024 * 1024)
        state.webhook_bodies = BodyBudget(_WEBHOOK_BODIES)
        state.passwords = passwords
        state.waiting_attempts = WaitingAttempts(settings.failed_attempts_per_minute)
        state.resources, state.limiter, state.turns = resources, limiter, turns
        state.response_runs = response_runs
        state.callers, state.model_names = callers, model_names
        state.embeddings = Embeddings(
            resources.database,
            Upstreams.of(settings),
            resources.chat_models,
            time_limit=settings.chat_turn_timeout_seconds,
        )
        yield
        await state.embeddings.drain()


def create_app(settings: Settings) -> FastAPI:
    """The application of the API process. Its lifespan opens what it talks to."""
    tracer = make_tracer(settings, "junis-api")
    application = FastAPI(
        title="Junis External API",
        summary="OpenAI-compatible agents, generated media, exact credits.",
        lifespan=partial(_open, settings=settings, tracer=tracer),
        redirect_slashes=False,
        # The names of operations in generated clients.
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        # Its own spans and logs have URLs and the texts of errors, and a variable could switch them on.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    add_error_handlers(application)
    guard_unrouted(application)
    accept_doubled_slashes(application)
    # From the inside to the outside.
    application.add_middleware(DecodingMiddleware, max_bytes=_MAX_BODY_BYTES)
    application.add_middleware(BodyLimitMiddleware, max_bytes=_MAX_BODY_BYTES)
    application.add_middleware(CorsMiddleware, allowed_origins=settings.cors_allowed_origins)
    application.add_middleware(RequestMiddleware, trusted_proxies=settings.trusted_proxies, tracer=tracer)
    application.include_router(api.router)
    application.include_router(health.router)
    application.openapi = lambda: document_of(application)  # type: ignore[method-assign] # FastAPI's own way to replace it
    application.include_router(docs_page.router)
    lead_directly(application)
    mount_console(application, settings)
    return application
