"""The names of everything that is kept in Redis."""

# A cluster places a key by what stands in its braces. All keys have the same there, so that a script or a transaction
# may use any of them. See docs/adr/0020-poolers-and-failover.md.
TAG = "{junis}"


def redis_key(kind: str, *names: str) -> str:
    """A key or channel of one kind: `junis:KIND:{junis}:NAME`."""
    return ":".join(("junis", kind, TAG, *names))
