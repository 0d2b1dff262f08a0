from dataclasses import dataclass

from starlette.requests import Request

from simulator.clock import Clock
from simulator.config import SimulatorConfig
from simulator.faults.counter import OccurrenceCounter
from simulator.faults.rules import RuleBook
from simulator.log import RequestLog
from simulator.media.cache import MediaCache
from simulator.replicate.predictions import PredictionStore
from simulator.replicate.webhooks import WebhookSender


@dataclass(frozen=True, slots=True)
class Simulator:
    """What the requests of one simulator share."""

    config: SimulatorConfig
    clock: Clock
    log: RequestLog
    rules: RuleBook
    occurrences: OccurrenceCounter
    media: MediaCache
    predictions: PredictionStore
    webhooks: WebhookSender
    # Tokens and keys that somebody has revoked.
    revoked: set[str]

    def reset(self) -> None:
        """Return to the state of a fresh start."""
        self.webhooks.clear()
        self.predictions.clear()
        self.occurrences.clear()
        self.rules.clear()
        self.log.clear()
        self.revoked.clear()
        self.clock.reset()


def build_simulator(config: SimulatorConfig) -> Simulator:
    """Put a simulator together."""
    clock = Clock()
    log = RequestLog(clock)
    return Simulator(
        config=config,
        clock=clock,
        log=log,
        rules=RuleBook(),
        occurrences=OccurrenceCounter(),
        media=MediaCache(is_prerendered=config.is_prerendered),
        predictions=PredictionStore(config.max_predictions),
        webhooks=WebhookSender(config, clock, log),
        revoked=set(),
    )


def simulator_of(request: Request) -> Simulator:
    """The simulator that a request has reached."""
    simulator: Simulator = request.app.state.simulator
    return simulator


def base_url_of(request: Request) -> str:
    """Base of the URLs that the answer to a request contains, without a slash at the end."""
    configured = simulator_of(request).config.public_url
    return (configured or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")
