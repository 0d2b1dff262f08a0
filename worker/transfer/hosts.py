"""The hosts that outputs are fetched from: the vendor's delivery hosts and those that the operator allows."""

import re
from urllib.parse import urlsplit

_MOST_HOST_LENGTH = 253
# The delivery host or one below it, in the characters of a host name only: nothing that one parser of URLs reads as
# another host than the next, and nothing that no name server could know.
_DELIVERY = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*replicate\.delivery(?::443)?", re.ASCII)


def is_allowed(url: str, others: frozenset[str]) -> bool:
    """Whether a file may be fetched from this address.

    Args:
        url: an absolute address.
        others: the operator's hosts, in lower case, each with its port if that is not the scheme's default.

    Raises:
        ValueError: it is not a valid address.
    """
    parts = urlsplit(url)
    authority = parts.netloc.lower()
    is_delivery = len(authority) <= _MOST_HOST_LENGTH and _DELIVERY.fullmatch(authority) is not None
    if parts.scheme == "https" and is_delivery:
        return True
    return parts.scheme in {"http", "https"} and authority in others
