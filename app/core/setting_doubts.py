"""Settings that are valid but probably not what the operator meant. They are logged, and the process starts."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr

from app.core.database_url import binds_channels
from app.core.settings import Settings

logger = logging.getLogger(__name__)

_SHORTEST_SECRET = 12
_MADE_BY_VENDORS = ("llm_api_key", "replicate_api_token")
# Secrets that an operator makes. The others come from vendors, who decide how long they are.
_MADE_BY_OPERATORS = ("secret_key", "secret_key_accepted", "metrics_token", "s3_secret_access_key")
_WITH_PASSWORDS = ("database_url", "database_direct_url", "redis_url")
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1", None})
_PLACEHOLDER = re.compile(
    r"<.*>|\.{3,}|x{3,}|change[-_ ]?me|(?:your|my)[-_ ].*|(?:sk|r8|whsec)[-_]\.{2,}|todo|example|placeholder",
    re.IGNORECASE,
)
# How alike two names must be. Their first words must be alike too: AWS_ACCESS_KEY_ID is not S3_ACCESS_KEY_ID.
_ALIKE = 0.78

# What is added to base URLs, by the settings that have them.
_ADDED = {"LLM_BASE_URL": "/chat/completions", "LLM_UPSTREAMS": "/chat/completions", "REPLICATE_BASE_URL": "/v1"}
# Read by other programs, and called almost like a setting.
_OF_OTHERS = frozenset({"SSL_CERT_DIR"})

_CUT = "Compose cuts an unquoted value in .env at a $ and at ' #': write it in single quotes"


@dataclass(frozen=True)
class Doubt:
    """A setting, and why it is probably wrong; never its value."""

    setting: str
    reason: str


def log_doubts(settings: Settings, environment: Mapping[str, str]) -> None:
    """Warn of every setting that is probably wrong.

    Args:
        settings: the settings of this process.
        environment: the variables of this process. Those of `.env` are read, too.
    """
    names = {**dotenv_values(".env"), **environment}
    values, urls = doubts_about_values(settings), doubts_about_urls(names)
    for doubt in (*values, *urls, *doubts_about_stores(settings), *doubts_about_names(names)):
        logger.warning("setting_doubtful", extra={"setting": doubt.setting, "reason": doubt.reason})


def doubts_about_values(settings: Settings) -> Iterator[Doubt]:
    """Secrets that look as if they were cut off, or never filled in."""
    secrets = {name: value for name, value in settings if isinstance(value, SecretStr) and value}
    for name, secret in secrets.items():
        value = secret.get_secret_value()
        if _PLACEHOLDER.fullmatch(value):
            yield Doubt(name.upper(), "is a placeholder and no secret")
        elif name in _MADE_BY_VENDORS and " " in value:
            yield Doubt(name.upper(), "has a space inside, which no key has")
        elif name in _MADE_BY_OPERATORS and len(value) < _SHORTEST_SECRET:
            yield Doubt(name.upper(), f"has only {len(value)} characters. {_CUT}")
    for name in _WITH_PASSWORDS:
        url = urlsplit(getattr(settings, name) or "")
        if url.hostname not in _THIS_MACHINE and url.password and len(url.password) < _SHORTEST_SECRET:
            yield Doubt(name.upper(), f"has a password of only {len(url.password)} characters. {_CUT}")


def doubts_about_urls(values: Mapping[str, str | None]) -> Iterator[Doubt]:
    """URLs that have what is added to them anyway. `values` are those of the variables, as they are written."""
    for name, path in _ADDED.items():
        if re.search(rf"{path}/?(?=[?\"\s]|$)", values.get(name) or ""):
            yield Doubt(name, f"should end before {path}, which is added by itself; it was left out")


def doubts_about_stores(settings: Settings) -> Iterator[Doubt]:
    """What a URL asks for and cannot be had."""
    urls = {"DATABASE_URL": settings.database_url, "DATABASE_DIRECT_URL": settings.database_direct_url}
    for name, url in urls.items():
        if url and binds_channels(url):
            yield Doubt(name, "asks for channel_binding, which the driver does not have; use sslmode=verify-full")


def doubts_about_names(names: Iterable[str]) -> Iterator[Doubt]:
    """Variables that are no settings, and are called almost like one that is not set."""
    known = {name.upper() for name in Settings.model_fields}
    given = {name.upper() for name in names}
    for name in sorted(given - known - _OF_OTHERS):
        candidates = [(_likeness(name, setting), setting) for setting in known - given]
        likeness, setting = max(candidates, default=(0.0, ""))
        if likeness >= _ALIKE:
            yield Doubt(name, f"is no setting. {setting} is one, and is not set")


def _likeness(name: str, setting: str) -> float:
    """How alike two names are, from 0 to 1: the whole names, or their first words if these are less alike."""
    first, known_first = name.partition("_")[0], setting.partition("_")[0]
    if "_" not in name or "_" not in setting:
        return 0.0
    return min(SequenceMatcher(None, name, setting).ratio(), SequenceMatcher(None, first, known_first).ratio())
