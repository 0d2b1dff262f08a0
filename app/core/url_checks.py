"""Checks of settings that are URLs. Their errors show nothing of the URL, which may have a password."""

import re
from collections.abc import Sequence
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

from app.core.addresses import addresses_of

_ESCAPES = "in a password, write / as %2F, # as %23, ? as %3F, @ as %40, % as %25"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+")
# Browsers leave them out.
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_BARE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


# A host whose last part is a number is an address to some parsers of URLs, and a name to others.
_NUMBER = r"(?:[0-9]+|0x[0-9a-f]*)"
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,254}}\Z)(?:{_LABEL}\.)*(?!{_NUMBER}\.?\Z){_LABEL}\.?", re.ASCII | re.IGNORECASE)

_UNPRINTABLE = re.compile(r"\s|[^\x21-\x7e]", re.ASCII)
_CHAT_COMPLETIONS = "/chat/completions"
# What is pasted from a vendor's page and added to the URL anyway.
_REPLICATE_VERSION = "/v1"


def http_url(value: str) -> str:
    """Allow only URLs of HTTP servers, to which a path can be added; a slash at the end is removed."""
    if http_parts(value).query:
        raise ValueError("must be a URL without a query, which begins with a ?")
    return value.rstrip("/?")


def llm_url(value: str) -> str:
    """Allow only base URLs of chat model servers. They may have a query, which stays behind what is added to the path.

    `/chat/completions`, which is added to every base URL, is removed if the URL has it already.
    """
    parts = http_parts(value)
    path = parts.path.rstrip("/").removesuffix(_CHAT_COMPLETIONS).rstrip("/")
    return parts._replace(path=path).geturl()


def replicate_url(value: str) -> str:
    """Allow only base URLs of HTTP servers; the version of Replicate's API, which is added to them, is removed."""
    return http_url(value).removesuffix(_REPLICATE_VERSION)


def proxy_url(value: SecretStr) -> SecretStr:
    """Allow only URLs of proxies. Without a scheme it is taken as `http://`."""
    address = value.get_secret_value()
    if not address:
        return value
    address = address if "://" in address else f"http://{address}"
    if urlsplit(address).scheme.startswith("socks"):
        raise ValueError("must be an http:// or https:// URL; proxies that speak SOCKS are not supported")
    if _has_unescaped_password(address):
        raise ValueError(f"the password has a character that is not escaped; {_ESCAPES}")
    parts = http_parts(address)
    if parts.path.strip("/") or parts.query:
        raise ValueError("must be a URL without a path")
    return SecretStr(parts._replace(path="").geturl())


def is_host_name(text: str) -> bool:
    """Whether it is the name of a host that every parser of URLs reads as a name, perhaps with a dot at its end."""
    return _HOST_NAME.fullmatch(text) is not None


def host_or_network(value: str) -> str:
    """Allow only names of hosts, addresses, and networks in CIDR notation."""
    if is_host_name(value):
        return value
    try:
        ip_network(value.strip("[]"))
    except ValueError:
        raise ValueError(
            "must be names of hosts, addresses or networks such as 10.0.0.0/8, with commas between them, "
            "and no schemes, ports or paths"
        ) from None
    return value


def http_parts(value: str) -> SplitResult:
    """The parts of an HTTP server's URL, which may have a query.

    Raises:
        ValueError: it is none.
    """
    _require_printable(value)
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("has no valid address between its brackets") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    if not _has_usable_port(value):
        raise ValueError("must have no port but a number from 1 to 65535")
    if "#" in value:
        raise ValueError("must be a URL without a fragment, which begins with a #")
    return parts


def _require_printable(value: str) -> None:
    # Python's parser leaves out line breaks without a word, others do not.
    if _UNPRINTABLE.search(value):
        raise ValueError("has white space or another character inside that no URL has")


def smtp_url(value: SecretStr) -> SecretStr:
    """Allow only URLs of mail servers: `smtp://` or `smtps://`, perhaps with a user and a password."""
    url = value.get_secret_value()
    if not url:
        return value
    _require_printable(url)
    if not _has_usable_port(url):
        raise ValueError(f"the port is not a number from 1 to 65535; {_ESCAPES}")
    if _has_unescaped_password(url):
        raise ValueError(f"the password has a character that is not escaped; {_ESCAPES}")
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("must be an smtp:// or smtps:// URL")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be a URL without a path")
    return value


def origin(value: str) -> str:
    """Allow only what browsers send as `Origin`, and `*`; a slash at the end and the usual port are removed."""
    bare = value.rstrip("/")
    if bare == "*":
        return bare
    if not _ORIGIN.fullmatch(bare):
        raise ValueError("must be * or origins such as https://app.example.com, with commas between them")
    return bare.removesuffix(_USUAL_PORTS.get(bare.partition("://")[0], ""))


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
        if re.search(r"\s", value):
            raise ValueError("has white space inside")
        if not _has_usable_port(value):
            raise ValueError(f"the port is not a number from 1 to 65535; {_ESCAPES}")
        if _has_unescaped_password(value):
            raise ValueError(f"the password has a character that is not escaped; {_ESCAPES}")
        if urlsplit(value).scheme not in (*shown, *further):
            raise ValueError(f"must start with one of: {', '.join(f'{name}://' for name in shown)}")
        return value

    return AfterValidator(check)
