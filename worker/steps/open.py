"""Builds the steps of a worker: the one place that knows everything they use."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app.content.announcing import ContentAnnouncer
from app.content.urls import FileUrls
from app.core.secret_keys import SecretKeys
from app.core.tracing import Tracer
from app.input_files.delivery import InputDelivery
from app.resources import Resources
from app.webhook_endpoints.receivers import Receivers
from worker.steps.accept import Acceptance
from worker.steps.adopt import AdoptStep
from worker.steps.cancel import CancelStep
from worker.steps.copy import CopyStep
from worker.steps.deliver import DeliverStep
from worker.steps.end import Ending
from worker.steps.outcomes import Outcomes
from worker.steps.pace import Pace
from worker.steps.poll import PollStep
from worker.steps.start import StartStep
from worker.steps.sweep import SweepStep
from worker.transfer.copying import OutputCopier
from worker.transfer.downloads import Downloader, open_download_session
from worker.transfer.posting import Poster
from worker.transfer.reserving import Reservations


@dataclass(frozen=True)
class Steps:
    """The steps that move generations on, in the order of a generation's life; then others, and what several share."""

    start: StartStep
    adopt: AdoptStep
    poll: PollStep
    copy: CopyStep
    sweep: SweepStep
    cancel: CancelStep
    deliver: DeliverStep
    acceptance: Acceptance
    ending: Ending


@asynccontextmanager
async def open_steps(resources: Resources, tracer: Tracer | None = None) -> AsyncIterator[Steps]:
    """The steps over the process's resources."""
    settings, database, queue = resources.settings, resources.database, resources.queue
    predictions, budget, hosts = resources.predictions, resources.vendor_budget, settings.output_hosts
    objects = resources.object_watch
    outgoing = resources.outgoing
    lease = timedelta(seconds=settings.worker_lease_seconds)
    interval = timedelta(seconds=settings.poll_interval_seconds)
    ending = Ending(database, queue, ContentAnnouncer(FileUrls(resources.store, settings.public_url)))
    cancels = CancelStep(database, predictions, lease)
    pace = Pace(interval)
    acceptance = Acceptance(database, cancels, pace, first_poll=interval, lease=lease)
    session = open_download_session(outgoing)
    downloader = Downloader(session, hosts, settings.max_output_bytes, outgoing)
    copier = OutputCopier(database, Reservations(database), resources.store, downloader, settings.max_output_bytes)
    webhook_base = settings.public_url if settings.replicate_webhook_secrets else None
    poster = Poster(Receivers.of(settings.webhook_private_receivers), outgoing)
    deliver = DeliverStep(database, SecretKeys.of(settings), poster)
    async with session, aclosing(deliver):
        yield Steps(
            start=StartStep(
                database,
                predictions,
                budget,
                objects,
                acceptance,
                ending,
                lease,
                webhook_base,
                InputDelivery.of(database, settings),
            ),
            adopt=AdoptStep(database, predictions, budget, acceptance, cancels, lease),
            poll=PollStep(
                database, Outcomes(database, queue), predictions, budget, ending, hosts, interval, pace, tracer
            ),
            copy=CopyStep(database, copier, objects, ending, hosts, lease),
            sweep=SweepStep(database, queue, resources.store, ending, cancels, lease, tracer=tracer),
            cancel=cancels,
            deliver=deliver,
            acceptance=acceptance,
            ending=ending,
        )
