"""The settings of a process for the eyes of operators: no secret, and no password of an address."""

import re
from collections.abc import Mapping, Sequence, Sized
from typing import Any, Final

from pydantic import SecretStr

from app.core.settings import Settings, UpstreamSettings

_SET, _NOT_SET = "set, not shown", "not set"
# Who has it and the secret of the same name gets in.
_HIDDEN: Final = frozenset({"s3_access_key_id"})


def shown_settings(settings: Settings) -> Sequence[tuple[str, str]]:
    """The names of all settings, as the environment has them, and what may be seen of their values."""
    shown = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "secret_key" and name not in settings.model_fields_set:
            text = "not set: made up at each start"
        elif name in _HIDDEN:
            text = _SET if value else _NOT_SET
        else:
            text = _text(value)
        shown.append((name.upper(), text))
    return shown


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return _SET if value.get_secret_value() else _NOT_SET
    if value is None or (isinstance(value, Sized) and not len(value)):
        return _NOT_SET
    if isinstance(value, Mapping):
        return "; ".join(f"{name} at {_upstream(each)}" for name, each in value.items())
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(str, value)))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return shown_address(text) if "://" in text else text


def _upstream(upstream: UpstreamSettings) -> str:
    key = _SET if upstream.api_key.get_secret_value() else _NOT_SET
    return f"{shown_address(upstream.base_url)} (key {key})"


def shown_address(url: str) -> str:
    """A URL without its user, its password and its query. One that could be read in two ways is not shown."""
    scheme, _, rest = url.partition("://")
    place, *tail = re.split(r"[?#]", rest, maxsplit=1)
    if tail and "@" in tail[0]:
        return _SET
    return f"{scheme}://{place.rpartition('@')[2]}"
