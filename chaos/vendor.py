"""What the vendors' simulator saw of the run, and what it did to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """

    predictions: Sequence[Entry]
    creations: Sequence[Entry]
    cancels: Sequence[Entry]
    deliveries: Sequence[Entry]
    webhooks: Sequence[Entry]

    @classmethod
    async def read(cls, http: httpx.AsyncClient, url: str) -> Self:
        """Ask the simulator."""
        kinds = ("prediction", "cancel", "delivery", "webhook")
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


def attempt_of(entry: Entry) -> tuple[str, int]:
    """The content and the attempt that a prediction, or a request for one, is for: its webhook names them."""
    parts = urlsplit(entry["webhook"]).path.split("/")
    if len(parts) != _WEBHOOK_PARTS + 1:
        raise ValueError(f"no webhook of an attempt: {entry['webhook']}")
    return parts[3], int(parts[4])
