import hashlib

import orjson

_SCALE = 2**64

# The faults that --fault-rate draws from: each ends by itself, so that a patient client always comes to an end.
DRAWN = (
    "fail",
    "fail-transient-e1000",
    "aborted",
    "canceled",
    "start-slow-1",
    "slow-2",
    "data-removed",
    "processing-with-output",
    "create-429",
    "create-429-short",
    "create-500",
    "create-502-html",
    "create-accept-then-drop",
    "get-500-1",
    "delivery-404",
    "delivery-500-1",
    "delivery-truncated-1",
    "delivery-wrong-type-1",
    "delivery-slow-1",
    "webhook-lost",
    "webhook-duplicated",
    "webhook-reordered",
    "webhook-bad-signature",
)


def stable_key(model: str, value: object) -> str:
    """A key that equal requests share: the model and its input, whatever the order of the input's keys."""
    canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(model.encode() + b"\n" + canonical).hexdigest()


def draw_fault(seed: int, rate: float, key: str, occurrence: int) -> str | None:
    """Draw a fault for one of the requests that share a key.

    A pure function: the same seed draws the same faults in whatever order requests arrive.

    Args:
        seed: The run's.
        rate: Share of requests, 0 to 1, that draw one.
        key: See `stable_key`.
        occurrence: Which request with this key it is, counted from 1.

    Returns:
        A fault by name, or None.
    """
    digest = hashlib.sha256(f"{seed}:{key}:{occurrence}".encode()).digest()
    if int.from_bytes(digest[:8]) / _SCALE >= rate:
        return None
    return DRAWN[int.from_bytes(digest[8:16]) % len(DRAWN)]
