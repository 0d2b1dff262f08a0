"""The hosts that outputs are fetched from: the vendor's delivery hosts and those that the operator allows."""

from urllib.parse import urlsplit

_DELIVERY_HOST = "replicate.delivery"


def is_allowed(url: str, others: frozenset[str]) -> bool:
    """Whether a file may be fetched from this address.

    Args:
        url: an absolute address.
        others: the operator's hosts, in lower case, each with its port if that is not the scheme's default.

    Raises:
        ValueError: it is not a valid address.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    is_delivery = host == _DELIVERY_HOST or host.endswith(f".{_DELIVERY_HOST}")
    if parts.scheme == "https" and is_delivery and parts.port in {None, 443}:
        return True
    return parts.scheme in {"http", "https"} and parts.netloc.lower() in others
