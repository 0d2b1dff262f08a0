"""What is wrong with the catalog, as far as this server can know without asking a vendor."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.admin.catalog.queries import ShownModel

_OLD: Final = timedelta(days=365)
# From so many failed attempts in a day on, a model may not be what it was.
MANY_FAILURES: Final = 5


@dataclass(frozen=True)
class Trouble:
    """Something that an operator should look at.

    Attributes:
        model: the model that it is about.
        sentence: what is wrong, after the model's name.
        is_known: whether the catalog has the model.
    """

    model: str
    sentence: str
    is_known: bool = True


@dataclass(frozen=True)
class Surroundings:
    """What refers to models, and what is known of them.

    Attributes:
        default_model: the operator's LLM_MODEL, which agents without a model of their own use.
        upstreams: the names of LLM_UPSTREAMS.
        references: how many agents name each model.
        failures: how many attempts of each model have failed in a day, if at least `MANY_FAILURES`.
        now: the moment.
    """

    default_model: str
    upstreams: AbstractSet[str]
    references: Mapping[str, int]
    failures: Mapping[str, int]
    now: datetime


def troubles_of(models: Sequence[ShownModel], around: Surroundings) -> list[Trouble]:
    """What is wrong with the models, the worst first."""
    active = [model for model in models if model.is_active]
    unpriced = [
        Trouble(model.name, "has no price. Calls of it are refused, so that nothing is given away.")
        for model in active
        if model.current is None
    ]
    stale = [Trouble(model.name, sentence) for model in active for sentence in _stale(model, around)]
    return [*unpriced, *_missing(models, around), *stale]


def _missing(models: Sequence[ShownModel], around: Surroundings) -> Iterator[Trouble]:
    known = {model.name: model for model in models}
    for name in sorted({*around.references, around.default_model}):
        agents = around.references.get(name, 0)
        words = "1 agent names it" if agents == 1 else f"{agents:,} agents name it"
        who = "LLM_MODEL names it" if name == around.default_model else words
        if name not in known:
            yield Trouble(name, f"is not in the catalog, but {who}. Chats with it are refused.", is_known=False)
        elif not known[name].is_active:
            yield Trouble(name, f"is switched off, but {who}. Chats with it are refused.")


def _stale(model: ShownModel, around: Surroundings) -> Iterator[str]:
    if model.upstream is not None and model.upstream not in around.upstreams:
        yield f"runs at {model.upstream}, which LLM_UPSTREAMS does not name."
    failures = around.failures.get(model.name, 0)
    if failures >= MANY_FAILURES:
        yield f"has failed {failures:,} times in 24 hours. Its vendor may have changed it."
    if model.current is not None and model.next is None and around.now - model.current.effective_at > _OLD:
        yield "has had its price for over a year. Compare it with the vendor's."
