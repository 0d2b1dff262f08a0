"""Checks of settings that are URLs. Their errors show nothing of the URL, which may have a password."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from pydantic import AfterValidator

from app.core.addresses import addresses_of

_ESCAPES = "in a password, write / as %2F, # as %23, ? as %3F, @ as %40, % as %25"
_BARE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def http_url(value: str) -> str:
    """Allow only URLs of HTTP servers; a slash at the end is removed."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    return value.rstrip("/")


def _has_usable_port(url: str) -> bool:
    try:
        addresses_of(urlsplit(url).netloc, 1)
    except ValueError:
        return False
    return True


def _has_unescaped_password(url: str) -> bool:
    """Whether the URL ends its host too early, because the password has a character that has another meaning there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return "@" in parts.path + parts.query + parts.fragment or _BARE_PERCENT.search(parts.netloc) is not None


def server_url(*shown: str, further: Sequence[str] = ()) -> AfterValidator:
    """Allow only URLs with one of these schemes whose password is escaped. An error does not name `further` ones."""

    def check(value: str) -> str:
        # What is wrong is not shown, as it is probably a part of the password.
        if not _has_usable_port(value):
            raise ValueError(f"the port is not a number from 1 to 65535; {_ESCAPES}")
        if _has_unescaped_password(value):
            raise ValueError(f"the password has a character that is not escaped; {_ESCAPES}")
        if urlsplit(value).scheme not in (*shown, *further):
            raise ValueError(f"must start with one of: {', '.join(f'{name}://' for name in shown)}")
        return value

    return AfterValidator(check)
