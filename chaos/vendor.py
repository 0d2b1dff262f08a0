"""What the vendors' simulator saw of the run, and what it did to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

_STOPPED = ("canceled", "aborted")
_WEBHOOK_PARTS = 5

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Vendor:
    """Everything at one moment, oldest first.

    Attributes:
        predictions: As Replicate would show them.
        creations: Each request to make one, with its `faults`, refused or not.
        cancels: Each request to end one.
        deliveries: Each request for a file.
        webhooks: Each that was sent, with its `outcome`.
        chats: Each model call, with its true `usage`.
    """

    predictions: Sequence[Entry]
    creations: Sequence[Entry]
    cancels: Sequence[Entry]
    deliveries: Sequence[Entry]
    webhooks: Sequence[Entry]
    chats: Sequence[Entry] = ()

    @classmethod
    async def read(cls, http: httpx.AsyncClient, url: str) -> Self:
        """Ask the simulator."""
        kinds = ("prediction", "cancel", "delivery", "webhook", "chat")
        logs = [(await http.get(f"{url}/_sim/log", params={"kind": kind})).json()["entries"] for kind in kinds]
        return cls((await http.get(f"{url}/_sim/predictions")).json()["predictions"], *logs)

    @property
    def stopped(self) -> frozenset[str]:
        """The predictions that were ended because somebody asked for it."""
        return frozenset(entry["id"] for entry in self.cancels if entry["status"] in _STOPPED)

    @property
    def unanswered(self) -> frozenset[str]:
        """The predictions that were accepted without an answer."""
        return frozenset(entry["id"] for entry in self.creations if entry["id"] and "status" not in entry)

    @property
    def faults(self) -> Mapping[str, frozenset[str]]:
        """The faults of each prediction that was made."""
        return {entry["id"]: frozenset(entry["faults"]) for entry in self.creations if entry["id"]}


def attempt_of(entry: Entry) -> tuple[str, int] | None:
    """The content and the attempt that a prediction, or a request for one, is for; None if it has no webhook."""
    if not entry.get("webhook"):
        return None
    parts = urlsplit(entry["webhook"]).path.split("/")
    if len(parts) != _WEBHOOK_PARTS + 1:
        raise ValueError(f"no webhook of an attempt: {entry['webhook']}")
    return parts[3], int(parts[4])


def predict_time_of(prediction: Entry) -> Decimal:
    """Seconds that the vendor bills for a prediction."""
    return Decimal(str(prediction["metrics"]["predict_time"]))


def files_of(output: Any) -> list[str]:
    """The different addresses in an output, in order; none if the output is itself the result."""
    return list(dict.fromkeys(text for text in _texts(output) if text.startswith(("http://", "https://", "data:"))))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, in order."""
    rest = [value]
    while rest:
        first = rest.pop()
        if isinstance(first, str):
            yield first
        elif isinstance(first, list):
            rest += reversed(first)
        elif isinstance(first, dict):
            rest += reversed(list(first.values()))
