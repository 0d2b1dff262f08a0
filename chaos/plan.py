"""What is requested, and what is done to the product meanwhile: all of it drawn from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from chaos.prices import CHAT_MODEL, CUT_MODEL, SILENT_MODEL
from chaos.strikes import APIS, StoreKind, Strike, draw_strikes

RICH, POOR = 4, 2
ORGANIZATIONS = RICH + POOR

_IMAGE = "simulator/image"
# Faults that the simulator never draws by itself: named in the model, for the first of all equal requests.
NAMED_FAULTS = (
    "create-accept-then-timeout",
    "create-429-no-header",
    "get-429",
    "webhook-late",
    "webhook-old-timestamp",
    "delivery-redirect",
)
# The vendor accepts the first two of a group of equal requests, and does not respond.
TWINS_MODEL = f"{_IMAGE}--create-accept-then-drop-2"
MODELS = (
    _IMAGE,
    "simulator/text",
    "simulator/json",
    "simulator/audio",
    "simulator/glb",
    *(f"{_IMAGE}--{fault}-1" for fault in NAMED_FAULTS),
    TWINS_MODEL,
)
_MODEL_WEIGHTS = (45, 16, 4, 8, 4, *(3 for _ in NAMED_FAULTS), 0)
_SECOND_FILE_SHARE = 0.2
_TWINS = 4
_TWINS_EVERY = 25
# Chats that ask for no generation, for each one that does.
_TALK_SHARE = 0.2
# The share of the time in which requests are sent, so that the last of them meet strikes too.
_ASKING = 0.8


class Way(StrEnum):
    """How a chat is asked."""

    WHOLE = "whole"
    STREAM = "stream"
    KEYED = "keyed"  # with an Idempotency-Key, and once more when it has succeeded
    KEYED_TWICE = "keyed twice"  # the same, sent to both APIs at once
    HANGUP = "hangup"  # streamed; the client hangs up in the middle
    CUT = "cut"  # streamed; the vendor cuts the answer
    SILENT = "silent"  # the vendor reports no usage


GENERATING = {Way.WHOLE: 40, Way.STREAM: 20, Way.KEYED: 30, Way.KEYED_TWICE: 10}
TALKING = (Way.HANGUP, Way.CUT, Way.SILENT)
KEYED = (Way.KEYED, Way.KEYED_TWICE)
_CHAT_MODELS = {Way.CUT: CUT_MODEL, Way.SILENT: SILENT_MODEL}


@dataclass(frozen=True)
class Request:
    """One chat, sent `at` seconds after the beginning. `model` is what it asks to be run; None: nothing."""

    at: float
    number: int
    organization: int
    way: Way
    api: str
    model: str | None
    prompt: str

    @property
    def chat_model(self) -> str:
        """The chat model that answers."""
        return _CHAT_MODELS.get(self.way, CHAT_MODEL)


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    has_webhooks: bool
    store: StoreKind
    requests: tuple[Request, ...]
    strikes: tuple[Strike, ...]
    seconds: float


def make_plan(seed: int, *, generations: int, seconds: float, folder: StoreKind = StoreKind.FOLDER) -> Plan:
    """The plan of a run; the same arguments give the same plan.

    Four seeds in a row have webhooks or none, and a folder or S3, in all combinations.

    Args:
        seed: From which everything is drawn.
        generations: How many are requested, in addition to chats without one.
        seconds: For how long there are strikes; everything is requested during that time.
        folder: The kind of folder that is used: one on a disk of its own can be slow, and takes root.
    """
    store = (folder, StoreKind.S3)[seed // 2 % 2]
    # Each of the two has its own generator, so that more requests do not change the strikes.
    requests, strikes = Random(f"{seed} requests"), Random(f"{seed} strikes")
    return Plan(
        seed=seed,
        has_webhooks=seed % 2 == 0,
        store=store,
        requests=tuple(_requests(requests, seed, generations, _ASKING * seconds)),
        strikes=draw_strikes(strikes, store, seconds),
        seconds=seconds,
    )


def _requests(random: Random, seed: int, generations: int, until: float) -> Iterator[Request]:
    number = made = 0
    while made < generations:
        at = until * made / generations
        if made % _TWINS_EVERY == 0 and generations - made >= _TWINS:
            yield from _twins(random, seed, number, at)
            number, made = number + _TWINS, made + _TWINS
            continue
        yield _generating(random, seed, number, at)
        number, made = number + 1, made + 1
        if random.random() < _TALK_SHARE:
            yield _talking(random, seed, number, at)
            number += 1


def _generating(random: Random, seed: int, number: int, at: float) -> Request:
    (model,) = random.choices(MODELS, _MODEL_WEIGHTS)
    (way,) = random.choices(list(GENERATING), list(GENERATING.values()))
    subject = "two images of a lighthouse" if model == _IMAGE and random.random() < _SECOND_FILE_SHARE else "one tower"
    # The words name the model for the simulated assistant, and are unique to this request.
    prompt = f"Please make {model} of {subject}, number {number} of run {seed}"
    return Request(at, number, random.randrange(ORGANIZATIONS), way, random.choice(APIS), model, prompt)


def _twins(random: Random, seed: int, first: int, at: float) -> Iterator[Request]:
    """Equal requests at the same time, of two organizations: what is made for one of them fits the others as well."""
    pair = random.sample(range(ORGANIZATIONS), 2)
    prompt = f"Please make {TWINS_MODEL} of a harbour, group {first} of run {seed}"
    for offset in range(_TWINS):
        yield Request(at, first + offset, pair[offset % 2], Way.WHOLE, random.choice(APIS), TWINS_MODEL, prompt)


def _talking(random: Random, seed: int, number: int, at: float) -> Request:
    way = random.choice(TALKING)
    pace = " slowly" if way is Way.HANGUP else ""
    prompt = f"Number {number} of run {seed}: count to {random.randint(40, 120)}{pace}"
    return Request(at, number, random.randrange(ORGANIZATIONS), way, random.choice(APIS), None, prompt)
