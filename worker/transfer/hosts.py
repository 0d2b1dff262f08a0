"""From which hosts outputs are fetched: the vendor's delivery hosts and those that the operator allows."""

from urllib.parse import urlsplit

_DELIVERY_HOST = "replicate.delivery"


def is_allowed(url: str, others: frozenset[str]) -> bool:
    """Whether a file may be fetched from there.

    Args:
        url: an absolute address.
        others: the operator's hosts, in lower case, each with its port where that is not the scheme's own.

    Raises:
        ValueError: it is no address.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    is_delivery = host == _DELIVERY_HOST or host.endswith(f".{_DELIVERY_HOST}")
    if parts.scheme == "https" and is_delivery and parts.port in {None, 443}:
        return True
    return parts.scheme in {"http", "https"} and parts.netloc.lower() in others
