import base64
import re
import secrets
from dataclasses import dataclass, field

_WEBHOOK_SECRET = re.compile(r"whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _random_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How one simulator behaves.

    Attributes:
        public_url: Base of the URLs it hands out, without a slash at the end. None: the address that each caller used.
        seed: Decides which predictions draw a fault, and which.
        fault_rate: Share of predictions, 0 to 1, that draw one.
        speed: Divides the simulator's own durations (never the seconds that a fault names).
        webhook_secret: Signs webhooks.
        old_webhook_secret: While a secret is being rotated, signs them as well.
        is_lenient: Accept the name alone for the community models of the demo, although Replicate requires a version.
        is_prerendered: Serve one rendering per format instead of one per prompt.
        retention: Seconds after its end at which a prediction loses its data and its files.
        max_predictions: The oldest beyond this many are forgotten.
    """

    public_url: str | None = None
    seed: int = field(default_factory=lambda: secrets.randbelow(2**32))
    fault_rate: float = 0.0
    speed: float = 1.0
    webhook_secret: str = field(default_factory=_random_webhook_secret)
    old_webhook_secret: str | None = None
    is_lenient: bool = True
    is_prerendered: bool = False
    retention: float = 3600.0
    max_predictions: int = 50_000

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("speed must be above 0")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError("fault_rate must be between 0 and 1")
        for secret in (self.webhook_secret, self.old_webhook_secret):
            if secret is not None and not _WEBHOOK_SECRET.fullmatch(secret):
                raise ValueError("a webhook secret must be whsec_ and base64")
