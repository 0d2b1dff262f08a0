"""What is requested and which programs are killed, and when: all of it drawn from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from chaos.plant import POSTGRES, VALKEY

APIS = ("api-1", "api-2")
WORKERS = ("worker-1", "worker-2")
# Not a kill: Valkey forgets everything and goes on.
FLUSH = "flush"
ORGANIZATIONS = 5

_IMAGE = "simulator/image"
# Faults that the simulator never draws by itself: named in the model, for the first request of each attempt.
NAMED_FAULTS = (
    "create-accept-then-timeout",
    "create-429-no-header",
    "get-429",
    "webhook-late",
    "webhook-old-timestamp",
    "delivery-redirect",
)
MODELS = (
    _IMAGE,
    "simulator/text",
    "simulator/json",
    "simulator/audio",
    "simulator/glb",
    *(f"{_IMAGE}--{fault}-1" for fault in NAMED_FAULTS),
)
_MODEL_WEIGHTS = (45, 16, 4, 8, 4, *(3 for _ in NAMED_FAULTS))
VICTIM_WEIGHTS = {
    WORKERS[0]: 20,
    WORKERS[1]: 20,
    APIS[0]: 10,
    APIS[1]: 10,
    VALKEY: 12,
    POSTGRES: 16,
    FLUSH: 12,
}
_CHAT_SHARE = 0.3
_SECOND_FILE_SHARE = 0.2
# The share of the time in which requests are sent, so that the last of them meet strikes too.
_ASKING = 0.8
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 4.0
_SHORTEST_DOWN, _LONGEST_DOWN = 0.1, 2.0


class Way(StrEnum):
    """How a generation is requested."""

    SERVICE = "service"
    CHAT = "chat"


@dataclass(frozen=True)
class Request:
    """One generation to request, `at` seconds after the beginning."""

    at: float
    number: int
    organization: int
    way: Way
    api: str
    model: str
    prompt: str
    outputs: int


@dataclass(frozen=True)
class Strike:
    """One kill, `at` seconds after the beginning; the victim stays down for so many seconds."""

    at: float
    victim: str
    down: float


@dataclass(frozen=True)
class Plan:
    """One run."""

    requests: tuple[Request, ...]
    strikes: tuple[Strike, ...]


def make_plan(seed: int, *, generations: int, seconds: float) -> Plan:
    """The plan of a run; the same arguments give the same plan.

    Args:
        seed: From which everything is drawn.
        generations: How many are requested.
        seconds: For how long programs are killed; everything is requested during that time.
    """
    # Each of the two has its own generator, so that more requests do not change the strikes.
    requests, strikes = Random(f"{seed} requests"), Random(f"{seed} strikes")
    pause = _ASKING * seconds / generations
    return Plan(
        tuple(_request(requests, seed, number, number * pause) for number in range(generations)),
        tuple(_strikes(strikes, seconds)),
    )


def _request(random: Random, seed: int, number: int, at: float) -> Request:
    (model,) = random.choices(MODELS, _MODEL_WEIGHTS)
    # The words name the model for the simulated assistant, and are unique to this request.
    prompt = f"Please make {model} of a lighthouse, number {number} of run {seed}"
    return Request(
        at=at,
        number=number,
        organization=random.randrange(ORGANIZATIONS),
        way=Way.CHAT if random.random() < _CHAT_SHARE else Way.SERVICE,
        api=random.choice(APIS),
        model=model,
        prompt=prompt,
        outputs=2 if model == _IMAGE and random.random() < _SECOND_FILE_SHARE else 1,
    )


def _strikes(random: Random, until: float) -> Iterator[Strike]:
    victims = _victims(random)
    at = random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)
    while at < until:
        yield Strike(at, next(victims), random.uniform(_SHORTEST_DOWN, _LONGEST_DOWN))
        at += random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)


def _victims(random: Random) -> Iterator[str]:
    """Each of them once, so that a short run leaves none out; then by their weights."""
    yield from random.sample(list(VICTIM_WEIGHTS), len(VICTIM_WEIGHTS))
    while True:
        yield from random.choices(list(VICTIM_WEIGHTS), list(VICTIM_WEIGHTS.values()))
