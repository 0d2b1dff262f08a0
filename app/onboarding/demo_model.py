"""The chat model of a quickstart with a real server: which one it is, whether it answers, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.audit.actor import Actor
from app.catalog import service as catalog
from app.catalog.errors import ModelNotPricedError
from app.catalog.models import ModelKind
from app.catalog.service import PricedModel
from app.catalog.toml import PriceEntry
from app.chat.turns.upstreams import Upstreams
from app.chat_models.failures import UpstreamSetting, explain, some
from app.chat_models.offer import Offer, read_offer
from app.chat_models.protocol import ChatModelClient
from app.chat_models.trial import Trial, try_model
from app.core.database import Database
from app.core.errors import AppError
from app.core.networks import is_near

_OFFER_SECONDS = 5.0
# A model that is not loaded yet may need longer for its first word. The user is not kept waiting for it.
_TRIAL_SECONDS = 20.0
_FREE = PriceEntry(per_million_prompt_tokens=Decimal(0), per_million_completion_tokens=Decimal(0))


@dataclass(frozen=True)
class DemoModel:
    """What was found out about the model, for a person.

    Attributes:
        model: its name.
        is_near: whether it runs on this machine or in a private network.
        note: how it was chosen, or what it cannot do; may be empty.
        problem: why it does not answer; empty if it does.
        mend: what to do about the problem, or about what it cannot do.
        price: credits for a million tokens of prompts and of answers; None if the catalog has none.
        was_made_free: whether it has the price 0 because it is near.
    """

    model: str
    is_near: bool
    note: str
    problem: str
    mend: str
    price: tuple[Decimal, Decimal] | None
    was_made_free: bool


async def prepare_demo_model(
    database: Database, client: ChatModelClient, upstreams: Upstreams, *, model: str, is_chosen: bool, actor: Actor
) -> DemoModel:
    """Find the model, try it, and give it the price 0 if it has none and is near.

    A model that is far away is somebody's whose bill is paid: what it costs is for the operator to say.

    Args:
        database: has the catalog.
        client: asks the server.
        upstreams: where models run.
        model: the operator's model, or the default.
        is_chosen: whether the operator has named it. If not, a near server's first one is taken.
        actor: who sets the price.
    """
    near = await is_near(upstreams.default.base_url)
    offer = await _read_offer(client, upstreams)
    name = (not is_chosen and near and offer and offer.first_chat_model()) or model
    priced = await _find(database, name)
    asked = _asked(upstreams, priced, name)
    trial = await try_model(client, asked.upstream, asked.model, timeout=_TRIAL_SECONDS)
    fault = await explain(client, asked, offer, trial.failure) if trial.failure else None
    was_made_free = priced is None and near and not (fault and fault.is_missing)
    if was_made_free:
        priced = await _make_free(database, name, offer, actor)
    return DemoModel(
        model=name,
        is_near=near,
        note=_note(name, model, offer, trial),
        problem=fault.found if fault else "",
        mend=fault.mend if fault else "",
        price=(priced.price.per_million_prompt_tokens, priced.price.per_million_completion_tokens) if priced else None,
        was_made_free=was_made_free,
    )


async def _read_offer(client: ChatModelClient, upstreams: Upstreams) -> Offer | None:
    try:
        return await read_offer(client, upstreams.default, timeout=_OFFER_SECONDS)
    except AppError:
        return None  # the call will say why


async def _find(database: Database, name: str) -> PricedModel | None:
    try:
        async with database.transaction() as tx:
            return await catalog.get_chat_model(tx, name)
    except ModelNotPricedError:
        return None


def _asked(upstreams: Upstreams, priced: PricedModel | None, name: str) -> UpstreamSetting:
    if priced is None:
        return UpstreamSetting(upstreams.default, name)
    route = upstreams.route(priced, 0)
    return UpstreamSetting(route.upstream, route.name)


async def _make_free(database: Database, name: str, offer: Offer | None, actor: Actor) -> PricedModel:
    offered = offer.find(name) if offer else None
    context = {"context_tokens": offered.context_tokens if offered else None}
    async with database.transaction() as tx:
        await catalog.set_price(tx, name, ModelKind.CHAT, _FREE, actor=actor, properties=context)
        return await catalog.get_chat_model(tx, name)


def _note(name: str, wanted: str, offer: Offer | None, trial: Trial) -> str:
    notes = []
    others = [other for other in (offer.names if offer else []) if other != name]
    if name != wanted:
        notes.append("LLM_MODEL is not set: this is the first model there" + _and_others(others))
    if not trial.takes_tools:
        notes.append(f"it refuses tools, so agents answer in words and make no pictures: {trial.tool_refusal}")
    return "; ".join(notes)


def _and_others(others: Sequence[str]) -> str:
    return f"; others: {some(others)}" if others else ", and the only one"
