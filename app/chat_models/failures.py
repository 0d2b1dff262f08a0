"""What an upstream's failure means for whoever has set it up: what is wrong, and how to mend it, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from app.chat_models.errors import UpstreamStatusError
from app.chat_models.offer import Offer, read_offer
from app.chat_models.protocol import ChatModelClient, Upstream
from app.core.addresses import http_address_of
from app.core.errors import AppError, ProviderTimeoutError
from app.core.networks import shown_url

_MOST_NAMES = 8
_SUFFIX = "/chat/completions"
_DENIED = frozenset({401, 403})
_NO_SUCH_MODEL = frozenset({400, 404, 422})
_REJECTED = frozenset({400, 413, 422})


@dataclass(frozen=True)
class UpstreamSetting:
    """An upstream, the model that is wanted there, and the settings that name them."""

    upstream: Upstream
    model: str
    base_url_name: str = "LLM_BASE_URL"
    api_key_name: str = "LLM_API_KEY"
    model_name: str = "LLM_MODEL"

    @property
    def where(self) -> str:
        """The base URL, as it may be shown."""
        return shown_url(self.upstream.base_url)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and what to do about it, each in a line. `is_missing`: the upstream does not have the model."""

    found: str
    mend: str
    is_missing: bool = False


async def explain(client: ChatModelClient, asked: UpstreamSetting, offer: Offer | None, failure: AppError) -> Fault:
    """What a failed call means.

    Args:
        client: asks another address of the upstream if the base URL seems to be wrong.
        asked: who was asked for what.
        offer: what the upstream's `/models` said; None if it could not be reached.
        failure: the error of `try_model` or `read_offer`.
    """
    cause = failure.__cause__
    if not isinstance(cause, UpstreamStatusError):
        return _unreachable(asked, failure) or await _wrong_url(client, asked, failure.text)
    if missing := _missing_model(asked, offer, cause):
        return missing
    if 300 <= cause.status < 400:
        return _redirected(asked, offer)
    return (
        _denied(asked, cause)
        or _refused(asked, cause)
        or await _wrong_url(client, asked, f"status {_named(cause.status)}")
    )


def _redirected(asked: UpstreamSetting, offer: Offer | None) -> Fault:
    # Redirects are not followed: they would send prompts and the key to a host that nobody has named.
    location = offer.response.headers.get("Location", "") if offer else ""
    better = shown_url(location).removesuffix("/models") if location.startswith("http") else "the address it leads to"
    return Fault(f"{asked.where} redirects to another address", f"set {asked.base_url_name} to {better}")


def _unreachable(asked: UpstreamSetting, failure: AppError) -> Fault | None:
    cause = failure.__cause__
    where = f"{http_address_of(asked.upstream.base_url)} ({asked.base_url_name})"
    if isinstance(failure, ProviderTimeoutError):
        return Fault(f"{where} did not answer in time", "try again if it is still loading the model; else see its log")
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return Fault(f"{where}: the name cannot be resolved", f"correct {asked.base_url_name}, or the DNS")
    if isinstance(cause, aiohttp.ClientSSLError):
        reason = "it speaks no TLS" if "WRONG_VERSION" in str(cause) else "its certificate is not trusted"
        mend = f"correct {asked.base_url_name} (http or https?), or name your authority's file in SSL_CERT_FILE"
        return Fault(f"{where}: {reason}", mend)
    if isinstance(cause, (aiohttp.ClientError, OSError)):
        mend = f"start it, or correct {asked.base_url_name}; in a container, localhost is the container itself"
        return Fault(f"{where} cannot be used: {_short(cause)}", mend)
    return None


def _short(error: BaseException) -> str:
    system = getattr(error, "os_error", error)
    return getattr(system, "strerror", None) or str(system) or type(error).__name__


def _missing_model(asked: UpstreamSetting, offer: Offer | None, said: UpstreamStatusError) -> Fault | None:
    if said.status not in _NO_SUCH_MODEL | _DENIED:
        return None
    names = offer.names if offer else []
    is_unlisted = bool(names) and offer is not None and offer.find(asked.model) is None
    words = said.reason.lower()
    is_told = "model" in words and any(part in words for part in ("not found", "not exist", "invalid model", "unknown"))
    # Some servers do not list all that they have, so what else is wrong with a request must not be taken for this.
    if not is_told and not (is_unlisted and (said.status == 404 or "model" in words)):
        return None
    mend = f"set {asked.model_name} to one of its models: {some(names, asked.model)}" if names else _told(said.reason)
    return Fault(f"{asked.where} has no model {asked.model}", mend, is_missing=True)


def _told(reason: str) -> str:
    return f"it says: {reason}"


def some(names: Sequence[str], wanted: str = "") -> str:
    """A few of the names, those first that are most like the wanted one, and how many there are besides."""
    close = get_close_matches(wanted, names, n=3)
    shown = [*close, *(name for name in names if name not in close)][:_MOST_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _denied(asked: UpstreamSetting, said: UpstreamStatusError) -> Fault | None:
    reason = f": {said.reason}" if said.reason else ""
    # LiteLLM's proxy looks for a key that is not its master key in a database, which it may not have.
    is_denied = said.status in _DENIED or "no connected db" in said.reason.lower()
    if is_denied and asked.upstream.api_key:
        return Fault(f"{asked.where} refuses the key{reason}", f"correct {asked.api_key_name}")
    if is_denied:
        return Fault(f"{asked.where} wants a key{reason}", f"set {asked.api_key_name}")
    if said.status == 402 or "quota" in said.reason.lower():
        return Fault(f"{asked.where}: the account has no money left{reason}", "add credit to the vendor's account")
    return None


def _refused(asked: UpstreamSetting, said: UpstreamStatusError) -> Fault | None:
    reason = f": {said.reason}" if said.reason else ""
    if said.status == 429:
        return Fault(f"{asked.where} limits requests{reason}", "wait, or have the vendor raise the limit")
    if said.status in _REJECTED and reason:
        return Fault(f"{asked.where} refuses a small request for {asked.model}{reason}", "set it up accordingly")
    if said.status == 200:
        return Fault(f"{asked.where} reports an error{reason}", "see its log")
    if said.status >= 500:
        found = f"{asked.where} fails with status {_named(said.status)}{reason}"
        # LiteLLM's proxy without a database fails like this if a request has no key.
        key = "" if asked.upstream.api_key else f"set {asked.api_key_name} if it wants a key; "
        return Fault(found, f"{key}see its log, or the vendor's status page")
    return None


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


async def _wrong_url(client: ChatModelClient, asked: UpstreamSetting, what: str) -> Fault:
    found = f"{asked.where}{_SUFFIX} is no chat completions API: {what}"
    url = asked.upstream.base_url
    path = urlsplit(url).path.rstrip("/")
    if path.endswith(_SUFFIX):
        return Fault(found, f"set {asked.base_url_name}={shown_url(url).rstrip('/').removesuffix(_SUFFIX)}")
    for better in _other_urls(url):
        if await _has_models(client, asked.upstream, better):
            return Fault(found, f"set {asked.base_url_name}={shown_url(better)}")
    return Fault(found, f"{asked.base_url_name} must be the URL before {_SUFFIX}; it usually ends in /v1")


def _other_urls(url: str) -> Sequence[str]:
    parts = urlsplit(url)
    paths = [f"{parts.path.rstrip('/')}/v1", "/v1", "/api/v1", "/openai/v1"]
    return [parts._replace(path=path).geturl() for path in dict.fromkeys(paths) if path != parts.path.rstrip("/")]


async def _has_models(client: ChatModelClient, upstream: Upstream, base_url: str) -> bool:
    other = Upstream(base_url, upstream.api_key, upstream.output_limit_name)
    try:
        offer = await read_offer(client, other, timeout=5)
    except AppError:
        return False
    # What is not there needs no key.
    return bool(offer.models) or offer.response.status in _DENIED
