"""The chat models: whether the default one answers and has a price, and whether the other upstreams can be used."""

from urllib.parse import urlsplit

from app.catalog import service as catalog
from app.catalog.errors import ModelNotPricedError, chat_price_command
from app.catalog.service import PricedModel
from app.chat.turns.upstreams import Upstreams
from app.chat_models.failures import UpstreamSetting, explain, some
from app.chat_models.offer import Offer, read_offer
from app.chat_models.protocol import Upstream
from app.chat_models.trial import Trial, try_model
from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, failed, not_checked, ok, warning, worst
from app.cli.printing import credits_text
from app.core.errors import AppError, ServiceUnavailableError

OFFER_SECONDS = 8.0
TRIAL_SECONDS = 30.0
# What a trial, the offer before it and the search for a better address may take together.
CHAT_SECONDS = 2 * TRIAL_SECONDS + 30


async def check_chat_model(place: Place) -> Result:
    """Whether the model of agents that name none answers, takes tools and has a price."""
    priced = await _price(place)
    if isinstance(priced, AppError) and not isinstance(priced, ModelNotPricedError | ServiceUnavailableError):
        return failed(priced.text, "correct the catalog's entry or LLM_UPSTREAMS")
    asked = _asked(place, priced if isinstance(priced, PricedModel) else None)
    answer = await _answer(place, asked)
    if isinstance(priced, PricedModel):
        price = priced.price
        amounts = (price.per_million_prompt_tokens, price.per_million_completion_tokens)
        return worst(answer, ok(f"{' / '.join(map(credits_text, amounts))} credits a million tokens"))
    if isinstance(priced, ModelNotPricedError):
        command = f"{chat_price_command(place.settings.llm_model)} (0 if it is free)"
        return worst(answer, failed(f"{place.settings.llm_model} has no price and is refused", command))
    return worst(answer, not_checked("its price: the database cannot be used"))


async def _price(place: Place) -> PricedModel | AppError:
    try:
        async with place.resources.database.transaction() as tx:
            priced = await catalog.get_chat_model(tx, place.settings.llm_model)
        Upstreams.of(place.settings).route(priced, 0)
    except AppError as error:
        return error
    return priced


def _asked(place: Place, priced: PricedModel | None) -> UpstreamSetting:
    upstreams = Upstreams.of(place.settings)
    if priced is None:
        return UpstreamSetting(upstreams.default, place.settings.llm_model)
    route = upstreams.route(priced, 0)
    if priced.upstream is None:
        return UpstreamSetting(route.upstream, route.name)
    return _named(priced.upstream, route.upstream, route.name)


def _named(name: str, upstream: Upstream, model: str = "") -> UpstreamSetting:
    setting = f"LLM_UPSTREAMS.{name}"
    return UpstreamSetting(upstream, model, f"{setting}.base_url", f"{setting}.api_key", "the catalog's upstream_model")


async def _answer(place: Place, asked: UpstreamSetting) -> Result:
    client = place.resources.chat_models
    offer = await _offer(place, asked.upstream)
    if not place.calls_model:
        return await _uncalled(place, asked, offer)
    trial = await try_model(client, asked.upstream, asked.model, timeout=TRIAL_SECONDS)
    if trial.failure is None:
        return _answered(asked, trial)
    fault = await explain(client, asked, offer if isinstance(offer, Offer) else None, trial.failure)
    return failed(fault.found, fault.mend)


def _answered(asked: UpstreamSetting, trial: Trial) -> Result:
    if trial.takes_tools:
        return ok(f"{asked.model} at {asked.where} answered in {trial.seconds:.1f} s")
    found = f"{asked.model} at {asked.where} answers, but refuses tools, so agents have none: {trial.tool_refusal}"
    return warning(found, "start its server with tools, choose another model, or give agents no tools")


async def _uncalled(place: Place, asked: UpstreamSetting, offer: Offer | AppError) -> Result:
    """What can be known without a call."""
    if isinstance(offer, AppError):
        fault = await explain(place.resources.chat_models, asked, None, offer)
        return failed(fault.found, fault.mend)
    if offer.response.status in {401, 403}:
        verb = "correct" if asked.upstream.api_key else "set"
        return failed(f"{asked.where} refuses the key, or the lack of one", f"{verb} {asked.api_key_name}")
    if not offer.models:
        found = f"{asked.where} names no models (status {offer.response.status}), and none was called"
        return warning(found, f"correct {asked.base_url_name} or {asked.api_key_name}, unless it has no /models")
    if offer.find(asked.model) is None:
        found = f"{asked.where} does not list {asked.model}; it was not called"
        return warning(found, f"{asked.model_name} should probably be one of {some(offer.names, asked.model)}")
    return ok(f"{asked.where} has {asked.model}; it was not called")


async def _offer(place: Place, upstream: Upstream) -> Offer | AppError:
    try:
        return await read_offer(place.resources.chat_models, upstream, timeout=OFFER_SECONDS)
    except AppError as error:
        return error


async def check_upstreams(place: Place) -> Result:
    """Whether each upstream of LLM_UPSTREAMS tells its models. None is called."""
    named = Upstreams.of(place.settings).named
    if not named:
        return not_checked("LLM_UPSTREAMS is not set")
    return worst(*[await _check_upstream(place, _named(name, upstream)) for name, upstream in named.items()])


async def _check_upstream(place: Place, asked: UpstreamSetting) -> Result:
    offer = await _offer(place, asked.upstream)
    if isinstance(offer, AppError):
        fault = await explain(place.resources.chat_models, asked, None, offer)
        return failed(fault.found, fault.mend)
    host = urlsplit(asked.upstream.base_url).hostname
    if offer.response.status in {401, 403}:
        return failed(f"{asked.where} refuses the key, or the lack of one", f"correct {asked.api_key_name}")
    if not offer.models:
        return warning(f"{asked.where} names no models", f"correct {asked.base_url_name}, unless it has no /models")
    return ok(f"{host}: {len(offer.models)} models")
