"""What is done to the running product, and when: drawn from a seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random

APIS = ("api-1", "api-2")
WORKERS = ("worker-1", "worker-2")
POSTGRES, VALKEY, STORE = "postgres", "valkey", "store"


class Blow(StrEnum):
    """What a strike does to its victim until it is taken back."""

    KILL = "kill"  # SIGKILL, then a new start
    SLEEP = "sleep"  # SIGSTOP, then SIGCONT; of Postgres its backends, beyond the leases of workers
    LONG_SLEEP = "long sleep"  # the same, beyond the leases of sessions and Idempotency-Keys
    FLUSH = "flush"  # Valkey forgets everything
    DEMOTE = "demote"  # a replica of Valkey becomes the leader under the same address, and the leader its replica
    FULL = "full"  # files cannot grow
    BLOCK = "block"  # no file can be created
    SLOW = "slow"
    REFUSE = "refuse"  # the store responds 503
    DROP = "drop"  # the store's connections are closed in mid-transfer


class StoreKind(StrEnum):
    """Where outputs are stored."""

    FOLDER = "folder"
    DISK = "folder on a disk of its own"
    S3 = "s3"


@dataclass(frozen=True)
class Kind:
    """One kind of strike: what is done to whom."""

    blow: Blow
    victim: str

    def __str__(self) -> str:
        return f"{self.blow} {self.victim}"


@dataclass(frozen=True)
class Strike:
    """One strike, `at` seconds after the beginning; it is taken back after so many seconds."""

    at: float
    kind: Kind
    down: float


_SERVERS: Mapping[Kind, int] = {
    **{Kind(Blow.KILL, worker): 16 for worker in WORKERS},
    **{Kind(Blow.SLEEP, worker): 8 for worker in WORKERS},
    **{Kind(Blow.KILL, api): 10 for api in APIS},
    **{Kind(Blow.SLEEP, api): 6 for api in APIS},
    Kind(Blow.KILL, POSTGRES): 14,
    Kind(Blow.SLEEP, POSTGRES): 6,
    Kind(Blow.KILL, VALKEY): 8,
    Kind(Blow.SLEEP, VALKEY): 6,
    Kind(Blow.FLUSH, VALKEY): 8,
    Kind(Blow.DEMOTE, VALKEY): 8,
}
_STORES: Mapping[StoreKind, tuple[Blow, ...]] = {
    StoreKind.FOLDER: (Blow.FULL, Blow.BLOCK),
    StoreKind.DISK: (Blow.FULL, Blow.BLOCK, Blow.SLOW),
    StoreKind.S3: (Blow.SLOW, Blow.REFUSE, Blow.DROP),
}
_STORE_WEIGHT = 6
_BRIEF, _BEYOND_LEASES = (0.1, 2.0), (6.5, 9.0)
_DOWN: Mapping[Blow, tuple[float, float]] = {
    Blow.KILL: _BRIEF,
    Blow.SLEEP: _BEYOND_LEASES,
    Blow.FLUSH: (0.0, 0.0),
    Blow.DEMOTE: (0.0, 0.0),
    Blow.FULL: (2.0, 5.0),
    Blow.BLOCK: (2.0, 5.0),
    Blow.SLOW: (3.0, 6.0),
    Blow.REFUSE: (2.0, 5.0),
    Blow.DROP: (2.0, 5.0),
}
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 4.0
_LONG_SLEEP = Strike(10.0, Kind(Blow.LONG_SLEEP, APIS[1]), 66.0)
# In a shorter run an API that sleeps so long would leave too little of it.
_LONG_RUN_SECONDS = 90.0


def kinds_of(store: StoreKind, seconds: float) -> Mapping[Kind, int]:
    """The kinds of strikes in a run of so many seconds, with their weights."""
    own = {Kind(blow, STORE): _STORE_WEIGHT for blow in _STORES[store]}
    long = {_LONG_SLEEP.kind: 0} if seconds >= _LONG_RUN_SECONDS else {}
    return {**_SERVERS, **own, **long}


def draw_strikes(random: Random, store: StoreKind, seconds: float) -> tuple[Strike, ...]:
    """Strikes for so many seconds: each kind once, then by their weights, and never two on one victim at a time.

    Several victims may be down at once. One strike beyond the longest leases is fixed, in a run that is long enough.
    """
    kinds = kinds_of(store, seconds)
    strikes = [_LONG_SLEEP] if _LONG_SLEEP.kind in kinds else []
    free_at = {strike.kind.victim: strike.at + strike.down + _SHORTEST_PAUSE for strike in strikes}
    drawn = _kinds(random, kinds)
    at = random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)
    while at < seconds:
        kind = next(drawn)
        down = random.uniform(*_DOWN[kind.blow])
        begins = max(at, free_at.get(kind.victim, 0.0))
        if begins < seconds:
            strikes.append(Strike(begins, kind, down))
            free_at[kind.victim] = begins + down + _SHORTEST_PAUSE
        at += random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE)
    return tuple(sorted(strikes, key=lambda strike: strike.at))


def _kinds(random: Random, kinds: Mapping[Kind, int]) -> Iterator[Kind]:
    """Each of them once, so that a short run leaves out as few as possible; then by their weights."""
    drawn = [kind for kind, weight in kinds.items() if weight]
    yield from random.sample(drawn, len(drawn))
    while True:
        yield from random.choices(drawn, [kinds[kind] for kind in drawn])
